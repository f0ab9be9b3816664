"""oCLIP's attention pool, word encoder and decoder beside other computations of the same."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vlpt_d2.modeling.backbone.attention_pool import ClipAttentionPool
from vlpt_d2.modeling.pretraining.oclip.characters import EOS, HIDDEN, VOCABULARY_SIZE
from vlpt_d2.modeling.pretraining.oclip.decoder import VisualTextualDecoder
from vlpt_d2.modeling.pretraining.oclip.word_encoder import WordEncoder


def randomized(module, std=0.3):
    """Random biases and norms too, so that a forgotten one shows."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std)
    return module.double().eval()


def attention_pool(grid=(2, 3)):
    return randomized(
        ClipAttentionPool(in_channels=8, embed_dim=6, num_heads=2, position_grid=grid)
    )


def test_attention_pool_equals_torchs_attention_as_clip_calls_it():
    pool = attention_pool()
    x = torch.randn(3, 8, 2, 3, dtype=torch.double)
    tokens = x.reshape(3, 8, 6).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + pool.position[0][:, None]
    expected, _ = F.multi_head_attention_forward(
        query=tokens,
        key=tokens,
        value=tokens,
        embed_dim_to_check=8,
        num_heads=2,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.query.bias, pool.key.bias, pool.value.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.project.weight,
        out_proj_bias=pool.project.bias,
        use_separate_proj_weight=True,
        q_proj_weight=pool.query.weight,
        k_proj_weight=pool.key.weight,
        v_proj_weight=pool.value.weight,
    )
    pooled, cls = pool(x)
    torch.testing.assert_close(cls[:, :, 0, 0], expected[0])
    for row in range(2):
        for column in range(3):
            torch.testing.assert_close(pooled[:, :, row, column], expected[1 + 3 * row + column])


def test_positions_of_another_map_are_interpolated():
    pool = attention_pool()
    with torch.no_grad():
        # A ramp along the columns: between two columns lies their mean.
        pool.position[0, 1:] = torch.tensor([0.0, 1.0, 2.0] * 2, dtype=torch.double)[:, None]
        for layer in (pool.query, pool.key):
            layer.weight.zero_()  # every token attends to all alike
    x = torch.zeros(1, 8, 2, 6, dtype=torch.double)
    pooled, cls = pool(x)
    assert pooled.shape == (1, 6, 2, 6)
    ramp = torch.tensor([[[[0.0, 1.0, 2.0]] * 2]], dtype=torch.double)
    ramp = F.interpolate(ramp, (2, 6), mode="bicubic").mean()
    mean = (12 * ramp + pool.position[0, 0]) / 13
    torch.testing.assert_close(cls[0, :, 0, 0], pool.project(pool.value(mean)))


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="POOL_HEADS 3 does not divide the 8"):
        ClipAttentionPool(in_channels=8, embed_dim=6, num_heads=3, position_grid=(2, 2))


def word_encoder():
    encoder = WordEncoder(
        embed_dim=6,
        max_characters=9,
        width=8,
        depth=2,
        num_heads=2,
    )
    return randomized(encoder)


WORDS = torch.tensor([[[3, 70, 12, EOS, 0, 0], [50, EOS, 0, 0, 0, 0], [0] * 6]])


def library_layer(block):
    """torch's own pre-norm layer with the weights of a block."""
    layer = nn.TransformerEncoderLayer(
        8, 2, 32, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).double()
    weights = block.state_dict()
    names = {"self_attn": "attention.attention", "linear1": "mlp.0", "linear2": "mlp.3"}
    layer.load_state_dict(
        {
            name: weights[name.replace(part := name.split(".")[0], names.get(part, part), 1)]
            for name in layer.state_dict()
        }
    )
    return layer.eval()


def test_word_encoder_equals_torchs_causal_layers():
    encoder = word_encoder()
    word = WORDS[0, 0, :4]
    x = (encoder.characters.weight[word] + encoder.position[:4])[None]
    mask = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.double)
    for block in encoder.blocks:
        x = library_layer(block)(x, src_mask=mask)
    expected = encoder.projection.weight @ F.layer_norm(
        x[0, 3], (8,), encoder.norm.weight, encoder.norm.bias, 1e-6
    )
    torch.testing.assert_close(encoder(WORDS)[0, 0], expected)


def test_words_stand_alone_whatever_the_padding():
    encoder = word_encoder()
    together = encoder(WORDS)
    assert together.shape == (1, 3, 6) and together.isfinite().all()
    alone = encoder(WORDS[:, :1, :4])
    torch.testing.assert_close(alone[0, 0], together[0, 0])
    longer = torch.cat([WORDS, torch.zeros(1, 3, 3, dtype=torch.long)], dim=2)
    torch.testing.assert_close(encoder(longer)[:, :2], together[:, :2])
    other = WORDS.clone()
    other[0, 1, 0] = 51
    changed = (encoder(other) - together).abs().amax(dim=2)[0] > 1e-9
    assert changed.tolist() == [False, True, False]


def test_characters_see_the_past_alone():
    """What the first character's vector becomes in the blocks, before the end is picked."""
    seen = {}
    encoder = word_encoder()
    encoder.norm.register_forward_pre_hook(lambda m, args: seen.update(x=args[0]))
    # The end of the word first, so that its vector is that of place 0.
    encoder(torch.tensor([[[EOS, 5, 6]]]))
    before = seen["x"].clone()
    encoder(torch.tensor([[[EOS, 7, 8]]]))
    assert torch.equal(before, seen["x"])


def test_decoder_equals_a_loop_over_heads():
    decoder = randomized(
        VisualTextualDecoder(embed_dim=8, depth=2, num_heads=2, position_grid=(2, 3))
    )
    words = torch.randn(2, 3, 8, dtype=torch.double)
    image = torch.randn(2, 6, 8, dtype=torch.double)
    x, keys = words, image + decoder.position
    for block in decoder.blocks:
        attention = block.attention.attention
        q_weight, k_weight, v_weight = attention.in_proj_weight.split(8)
        q_bias, k_bias, v_bias = attention.in_proj_bias.split(8)
        query, key = x @ q_weight.T + q_bias, keys @ k_weight.T + k_bias
        value = image @ v_weight.T + v_bias
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            weights = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(4)
            heads.append(weights.softmax(dim=2) @ value[..., part])
        looked = attention.out_proj(torch.cat(heads, dim=2))
        x = x + block.norm1(looked)
        first, last = block.mlp[0], block.mlp[3]
        x = x + last(F.gelu(first(block.norm2(x))))
    torch.testing.assert_close(decoder(words, image, (2, 3)), decoder.norm(x))


def test_vocabulary_fits_the_embedding():
    assert word_encoder().characters.num_embeddings == VOCABULARY_SIZE == HIDDEN + 1
