"""Text encoders: ids of a caption to one vector for each token."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from fvcore.common.registry import Registry
from torch import nn

from ....data.text.tokenizer import build_tokenizer
from ...transformer import LAYER_NORM_EPS, Block, init_transformer_weights

TEXT_ENCODER_REGISTRY = Registry("TEXT_ENCODER")
TEXT_ENCODER_REGISTRY.__doc__ = """
Text encoders, called as ``obj(cfg)``: modules from (input_ids, attention_mask) of shape (N, K) to
(N, K, embed_dim), with the attributes ``embed_dim`` and ``word_embeddings`` (the ``nn.Embedding``
whose rows word-in-image prediction compares with the image).
"""

# Epsilon of BERT's embedding LayerNorm (transformers, BertConfig.layer_norm_eps).
EMBEDDING_NORM_EPS = 1e-12


@TEXT_ENCODER_REGISTRY.register()
class VLPTTextEncoder(nn.Module):
    """BERT embeddings and pre-norm blocks, from scratch (paper 3.2, release models/encoders.py)."""

    @configurable
    def __init__(
        self,
        *,
        vocabulary_size: int,
        padding_id: int,
        max_tokens: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        dropout: float,
        init_std: float = 0.02,
    ):
        """
        Args:
            vocabulary_size: rows of the word embedding table.
            padding_id: id of [PAD], whose row stays zero.
            max_tokens: longest caption K.
            embed_dim: width d.
            depth: number of blocks.
            num_heads: attention heads; divides ``embed_dim``.
            dropout: probability in [0, 1).
            init_std: standard deviation of the initialisation.
        """
        super().__init__()
        self.embed_dim = embed_dim
        self.word_embeddings = nn.Embedding(vocabulary_size, embed_dim, padding_idx=padding_id)
        self.position_embeddings = nn.Embedding(max_tokens, embed_dim)
        # A single caption has one segment; the row is kept because BERT's layer adds it.
        self.token_type_embeddings = nn.Embedding(1, embed_dim)
        self.embedding_norm = nn.LayerNorm(embed_dim, eps=EMBEDDING_NORM_EPS)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        init_transformer_weights(self, init_std)
        with torch.no_grad():
            self.word_embeddings.weight[padding_id].zero_()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        node, shared = cfg.MODEL.TEXT_ENCODER, cfg.MODEL.IMAGE_ENCODER
        tokenizer = build_tokenizer(node.TOKENIZER, node.MAX_TOKENS)
        return {
            "vocabulary_size": tokenizer.vocabulary_size,
            "padding_id": tokenizer.special["pad"],
            "max_tokens": node.MAX_TOKENS,
            "embed_dim": shared.EMBED_DIM,
            "depth": node.DEPTH,
            "num_heads": shared.NUM_HEADS,
            "dropout": shared.DROPOUT,
            "init_std": cfg.MODEL.VLPT.INIT_STD,
        }

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode (N, K) ids, K <= max_tokens; True in the mask at tokens that are no padding."""
        positions = self.position_embeddings.weight[: input_ids.shape[1]]
        x = self.word_embeddings(input_ids) + positions + self.token_type_embeddings.weight[0]
        x = self.dropout(self.embedding_norm(x))
        for block in self.blocks:
            x = block(x, ~attention_mask)
        return self.norm(x)


@TEXT_ENCODER_REGISTRY.register()
class HuggingFaceTextEncoder(nn.Module):
    """Any BERT-family encoder of transformers, from a model name or a local folder."""

    @configurable
    def __init__(self, *, encoder: Any, embed_dim: int, init_std: float = 0.02):
        """
        Args:
            encoder: a model of transformers, which returns ``last_hidden_state`` (N, K, hidden)
                for ids and mask.
            embed_dim: width of the output; a linear layer is added where it differs.
            init_std: standard deviation of that layer's initialisation.
        """
        super().__init__()
        self.encoder = encoder
        self.embed_dim = embed_dim
        hidden = encoder.config.hidden_size
        self.project = nn.Identity() if hidden == embed_dim else nn.Linear(hidden, embed_dim)
        init_transformer_weights(self.project, init_std)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        from transformers import AutoModel

        node = cfg.MODEL.TEXT_ENCODER
        if not node.PRETRAINED:
            raise ValueError(
                "MODEL.TEXT_ENCODER.NAME HuggingFaceTextEncoder needs MODEL.TEXT_ENCODER."
                "PRETRAINED: the Hugging Face name or the local folder of a BERT-family model"
            )
        encoder = AutoModel.from_pretrained(node.PRETRAINED)
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # its output is not read, and unused weights break DDP
        rows = encoder.get_input_embeddings().num_embeddings
        tokenizer = build_tokenizer(node.TOKENIZER, node.MAX_TOKENS)
        if tokenizer.vocabulary_size > rows:
            raise ValueError(
                f"the tokenizer has {tokenizer.vocabulary_size} ids but the text encoder "
                f"{node.PRETRAINED!r} has {rows}; set MODEL.TEXT_ENCODER.TOKENIZER to match it"
            )
        return {
            "encoder": encoder,
            "embed_dim": cfg.MODEL.IMAGE_ENCODER.EMBED_DIM,
            "init_std": cfg.MODEL.VLPT.INIT_STD,
        }

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The encoder's word embedding table."""
        return self.encoder.get_input_embeddings()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode (N, K) ids to (N, K, embed_dim)."""
        out = self.encoder(input_ids=input_ids, attention_mask=attention_mask.long())
        return self.project(out.last_hidden_state)


def build_text_encoder(cfg: CfgNode) -> Any:
    """Build the encoder named by ``MODEL.TEXT_ENCODER.NAME``."""
    return TEXT_ENCODER_REGISTRY.get(cfg.MODEL.TEXT_ENCODER.NAME)(cfg)
