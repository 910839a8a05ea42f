"""What people read: tables, comparisons, reports, the mirror in MLflow. All of it made from records."""
