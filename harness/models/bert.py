"""BERT as a classifier of sentences, with token ids as its only input.

Devlin et al. 2019, arXiv 1810.04805: `bert_base` is the paper's BERT-base; `minilm_l6` the small
one of Wang et al. 2020, arXiv 2002.10957. The network is that of the transformers library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from harness.data.fetch import require_host
from harness.data.text import PADDING
from harness.util.names import UsageError

if TYPE_CHECKING:
    from transformers import BertConfig

VOCABULARY, POSITIONS, CLASSES = 30_522, 512, 2
HUB_NAME, HUB_REVISION = "google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594"


class BertClassifier(nn.Module):
    """Token ids int64 `[n, length]` → logits `[n, 2]`, for any length up to 512.

    Token 0 is padding and is not attended to; all tokens are of type 0. Attention is written out
    (`eager`), so that each of its products is a layer of its own in the exported graph.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        from transformers import BertForSequenceClassification

        self.network = BertForSequenceClassification._from_config(config, attn_implementation="eager")

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        # [n, 1, 1, length], added to the attention scores before their softmax
        mask = (ids == PADDING)[:, None, None, :].float() * torch.finfo(torch.float32).min
        return self.network(input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids)).logits


def minilm_l6() -> BertClassifier:
    """6 layers of width 384 with 12 heads: 22.7 million parameters, newly initialised."""
    return _build(hidden=384, layers=6)


def bert_base() -> BertClassifier:
    """12 layers of width 768 with 12 heads: 109.5 million parameters, newly initialised."""
    return _build(hidden=768, layers=12)


def pretrained_minilm_l6() -> BertClassifier:
    """`minilm_l6` with pretrained weights, and a newly initialised output layer.

    Raises:
        DataUnavailableError: the weights are not there, and no source could give them.
    """
    from harness.data.pretrained import MINILM

    model = minilm_l6()
    tensors = {name: torch.from_numpy(values) for name, values in MINILM.load().items()}
    model.network.bert.load_state_dict(tensors)
    return model


def pretrained_bert_base() -> BertClassifier:
    """`bert_base` with Google's weights from the Hugging Face hub, and a newly initialised output layer.

    Raises:
        UsageError: the weights are not in the hub's cache, and the hub cannot be reached.
    """
    model = bert_base()
    from transformers import BertModel

    try:
        source = BertModel.from_pretrained(HUB_NAME, revision=HUB_REVISION, local_files_only=not _hub_answers())
    except OSError as error:
        raise UsageError(
            f"The weights of {HUB_NAME} are not in the cache of the Hugging Face hub, and it cannot be reached. "
            f"Run once where there is a network: hf download {HUB_NAME} --revision {HUB_REVISION}; "
            "then copy its cache folder here (HF_HOME, by default ~/.cache/huggingface)."
        ) from error
    model.network.bert.load_state_dict(source.state_dict())
    return model


def _build(*, hidden: int, layers: int) -> BertClassifier:
    _prepare()
    from transformers import BertConfig

    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=4 * hidden,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=POSITIONS,
        pad_token_id=PADDING,
    )
    config.num_labels = CLASSES
    return BertClassifier(config)


def _hub_answers() -> bool:
    """Asked beforehand, since the hub's library tries for most of a minute."""
    import os

    try:
        require_host(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    except OSError:
        return False
    return True


def _prepare() -> None:
    """transformers imports torchvision where there is one, and fails where that fails."""
    from importlib.util import find_spec

    from harness.util.vision import import_torchvision

    if find_spec("transformers") is None:
        raise UsageError("BERT needs the transformers library: pip install 'openprune[bert]'")
    if find_spec("torchvision") is not None:  # text does without it
        import_torchvision()
