"""Word-in-image prediction with hard negatives (paper 3.4; release models/VLPT.py)."""

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from torch import nn

from ...transformer import init_transformer_weights
from ..batch import full_precision
from ..task import PRETEXT_TASK_REGISTRY, LogitScale, PretextTask, accuracy, mean_over
from .batch import EncodedBatch, TokenBatch

# Rows of similarities held at once; 1024 x 30522 float32 are 125 MB.
CHUNK = 1024


@torch.no_grad()
def nearest_rows(
    table: torch.Tensor, ids: torch.Tensor, k: int, excluded: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of an embedding table nearest to given rows, by cosine similarity.

    The table is not changed. Top-k selection in chunks, never a sort of the vocabulary. Computed in
    float32 under autocast: close rows differ only in the last digits.

    Args:
        table: (V, d).
        ids: (T,) the rows to find neighbours of.
        k: neighbours of each; fewer where the table has fewer.
        excluded: (E,) rows that are nobody's neighbour.

    Returns:
        (T, k) ids, nearest first, and (T, k) bool, False where no row was left to take. A row is
        never its own neighbour.
    """
    with torch.autocast(table.device.type, enabled=False):
        return _nearest_rows(table, ids, k, excluded)


def _nearest_rows(
    table: torch.Tensor, ids: torch.Tensor, k: int, excluded: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    table = F.normalize(full_precision(table.detach()), dim=-1)
    k = min(k, len(table) - 1)
    neighbours, found = [], []
    for start in range(0, len(ids), CHUNK):
        rows = ids[start : start + CHUNK]
        similarity = table[rows] @ table.T
        similarity.scatter_(1, rows[:, None], float("-inf"))
        similarity.index_fill_(1, excluded, float("-inf"))
        values, indices = similarity.topk(k, dim=1)
        neighbours.append(indices)
        found.append(values > float("-inf"))
    if not neighbours:
        empty = ids.new_empty((0, k))
        return empty, empty.bool()
    return torch.cat(neighbours), torch.cat(found)


def random_rows(num_rows: int, ids: torch.Tensor, k: int, excluded: torch.Tensor) -> torch.Tensor:
    """Uniformly drawn rows (T, k), not the row itself nor one of ``excluded``, (E,) distinct."""
    allowed = torch.ones(num_rows, dtype=torch.bool, device=ids.device)
    allowed.index_fill_(0, excluded, False)
    # The rows that are allowed, in order: nonzero would wait for a GPU.
    pool = (~allowed).sort(stable=True).indices[: num_rows - len(excluded)]
    # A draw from the pool without the row itself: skip over its place.
    own = torch.searchsorted(pool, ids)[:, None]
    in_pool = allowed[ids][:, None]
    sizes = len(pool) - in_pool.long()
    # float32 may round a draw up to the size itself.
    draw = (torch.rand(len(ids), k, device=ids.device) * sizes).long().minimum(sizes - 1)
    draw = torch.where(in_pool & (draw >= own), draw + 1, draw)
    return pool[draw.clamp(max=len(pool) - 1)]


@PRETEXT_TASK_REGISTRY.register()
class WIP(PretextTask[TokenBatch, EncodedBatch]):
    """Distinguish each token of the caption from similar ones, given one vector of the image.

    For a visible token k with table row W_k and negatives W_k^l:
    -log(exp(s cos(f(I), g(W_k))) / sum of the same over k and its negatives), f and g linear,
    s learnable. Rows are normalised copies, as the release uses them; the table stays as it is,
    and the gradient at a row's copy is the row's.
    Candidate 0 is the true word and no negative equals it. [CLS], [SEP], padding and pieces
    selected for MLM take no part; special ids are never negatives.
    """

    special_ids: torch.Tensor

    @configurable
    def __init__(
        self,
        *,
        embed_dim: int,
        table_dim: int,
        special_ids: list[int],
        weight: float = 1.0,
        num_negatives: int = 63,
        negatives: str = "similarity",
        query: str = "cls",
        init_std: float = 0.02,
    ):
        """
        Args:
            embed_dim: width of the image tokens and of the compared vectors.
            table_dim: width of the word embedding table.
            special_ids: ids that stand for no word.
            weight: factor of the loss.
            num_negatives: negatives of each token.
            negatives: "similarity" or "random".
            query: "cls" or "first_token", the image vector that is compared.
            init_std: standard deviation of the initialisation.
        """
        super().__init__()
        if negatives not in ("similarity", "random"):
            raise ValueError(
                f"MODEL.VLPT.WIP.NEGATIVES must be 'similarity' or 'random', not {negatives!r}"
            )
        if query not in ("cls", "first_token"):
            raise ValueError(f"MODEL.VLPT.WIP.QUERY must be 'cls' or 'first_token', not {query!r}")
        self.weight = weight
        self.num_negatives = num_negatives
        self.negatives = negatives
        self.query_index = ("cls", "first_token").index(query)
        self.image_projection = nn.Linear(embed_dim, embed_dim)
        self.word_projection = nn.Linear(table_dim, embed_dim)
        self.scale = LogitScale()
        self.register_buffer("special_ids", torch.tensor(special_ids), persistent=False)
        init_transformer_weights(self, init_std)

    @classmethod
    def from_config(cls, cfg: CfgNode, special_ids: list[int], table_shape: tuple) -> dict:
        node = cfg.MODEL.VLPT.WIP
        return {
            "embed_dim": cfg.MODEL.IMAGE_ENCODER.EMBED_DIM,
            "table_dim": table_shape[1],
            "special_ids": special_ids,
            "weight": node.WEIGHT,
            "num_negatives": node.NUM_NEGATIVES,
            "negatives": node.NEGATIVES,
            "query": node.QUERY,
            "init_std": cfg.MODEL.VLPT.INIT_STD,
        }

    def count(self, tokens: TokenBatch) -> torch.Tensor:
        return tokens.visible.sum()

    def candidates(
        self, table: torch.Tensor, tokens: TokenBatch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (T, 1 + L) ids for the T visible tokens, the true one first, and which count."""
        ids = tokens.original_ids.flatten()[tokens.visible_places]
        excluded = self.special_ids
        if self.negatives == "random":
            negatives = random_rows(len(table), ids, self.num_negatives, excluded)
            found = torch.ones_like(negatives, dtype=torch.bool)
        else:
            distinct = tokens.distinct_ids
            negatives, found = nearest_rows(table, distinct, self.num_negatives, excluded)
            own = torch.searchsorted(distinct, ids)
            negatives, found = negatives[own], found[own]
        found = torch.cat([torch.ones_like(found[:, :1]), found], dim=1)
        return torch.cat([ids[:, None], negatives], dim=1), found

    def logits(self, encoded: EncodedBatch) -> torch.Tensor:
        """(T, 1 + L) logits of the T visible tokens in row-major order; column 0 is the truth."""
        candidates, found = self.candidates(encoded.word_table, encoded.tokens)
        image_of = encoded.tokens.visible_places // encoded.tokens.word_index.shape[1]
        if candidates.is_cpu:
            # Each distinct row is projected once, however many words it is a candidate for.
            rows, places = candidates.unique(return_inverse=True)
            words = full_precision(encoded.word_table[rows])
        else:
            # To count the distinct rows takes a GPU longer than to project the whole table.
            words, places = full_precision(encoded.word_table), candidates
        # Unit rows, but the gradient of rows as they are: the release normalises its table in
        # place. Through the normalisation it would be longer by one over a row's length.
        words = words + (F.normalize(words, dim=-1) - words).detach()
        words = full_precision(self.word_projection(words))
        query = full_precision(self.image_projection(encoded.image[:, self.query_index]))
        with torch.autocast(query.device.type, enabled=False):
            cosine = F.normalize(query, dim=-1) @ F.normalize(words, dim=-1).T
            logits = full_precision(self.scale()) * cosine[image_of[:, None], places]
        return logits.masked_fill(~found, float("-inf"))

    def forward(
        self, encoded: EncodedBatch, count: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.logits(encoded)
        targets = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        loss = mean_over(F.cross_entropy(logits, targets, reduction="sum"), count)
        return loss, {"wip/accuracy": accuracy(logits.argmax(dim=1) == 0)}

    def evaluate(self, encoded: EncodedBatch) -> dict[str, torch.Tensor]:
        visible = encoded.tokens.visible
        correct = torch.zeros_like(visible)
        correct.view(-1)[encoded.tokens.visible_places] = self.logits(encoded).argmax(dim=1) == 0
        return {"wip_correct": correct.sum(dim=1), "wip_total": visible.sum(dim=1)}
