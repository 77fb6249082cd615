"""GPU kernels of one decoding step (Triton): a layer is five of them, because at this size every launch counts.

Sums are in float32. Matrix products take half precision, or float32 where the weights are that. No kernel adds in an
order that changes from run to run.
"""

# Triton reads these functions as its own language, which the type checker does not know.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false, reportIndexIssue=false
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportReturnType=false, reportGeneralTypeIssues=false

import triton
import triton.language as tl


@triton.jit
def embed(
    ids,
    embedding,
    norm,
    x,
    weighed,
    squares,
    clock,
    WIDTH: tl.constexpr,
    SPAN: tl.constexpr,
    PARTS: tl.constexpr,
    PARTS_SPAN: tl.constexpr,
):
    """x [rows, width] float32 = the embedding of `ids`, with what `project` writes beside it where it adds to x. The
    clock, [slot, place], goes on by one."""
    row = tl.program_id(0)
    if row == 0:
        tl.store(clock, tl.load(clock) + 1)
        tl.store(clock + 1, tl.load(clock + 1) + 1)
    at, part = tl.arange(0, SPAN), tl.arange(0, PARTS_SPAN)
    valid = at < WIDTH
    values = tl.load(embedding + tl.load(ids + row) * WIDTH + at, mask=valid, other=0.0).to(tl.float32)
    tl.store(x + row * WIDTH + at, values, mask=valid)
    scaled = values * tl.load(norm + at, mask=valid, other=0.0)
    tl.store(weighed + row * WIDTH + at, scaled.to(weighed.dtype.element_ty), mask=valid)
    tl.store(squares + row * PARTS + part, tl.where(part == 0, tl.sum(values * values, 0), 0.0), mask=part < PARTS)


@triton.jit
def project(
    x,
    weight,
    out,
    norm,
    weighed,
    squares,
    router,
    rows,
    outputs,
    epsilon,
    INPUTS: tl.constexpr,
    PARTS: tl.constexpr,
    PARTS_SPAN: tl.constexpr,
    EXPERTS: tl.constexpr,
    CHOSEN: tl.constexpr,
    ONE: tl.constexpr,
    NORMED: tl.constexpr,
    GATED: tl.constexpr,
    ADDED: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """out [rows, outputs] = x [rows, inputs] @ weight[outputs, inputs], with what is around it.

    ADDED: added to what is in `out`, the residual; beside it are written, for the norm that comes next, the residual
    times the norm's weight (`weighed`) and sums of its squares (`squares`, PARTS a row). NORMED: x is such a `weighed`,
    and the result is divided by the root mean square. GATED: the weight holds gates, then as many others, and out is
    silu(gate) * other; with EXPERTS above 0 all experts do so side by side, each weighed with its share by the router.
    ADDED with EXPERTS above 0: the inputs are those of all experts side by side, the weight [experts, outputs, inputs].
    """
    column = tl.program_id(0) * COLUMNS
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    expert = 0
    if GATED and EXPERTS > 0:
        tiles = tl.cdiv(outputs, COLUMNS)
        expert = tl.program_id(0) // tiles
        column = (tl.program_id(0) % tiles) * COLUMNS
        weight += expert.to(tl.int64) * 2 * outputs * INPUTS
    col = column + tl.arange(0, COLUMNS)
    here, inside = row < rows, col < outputs
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    others = tl.zeros((ROWS, COLUMNS), tl.float32)
    votes = tl.zeros((ROWS, 16), tl.float32)
    SIDES: tl.constexpr = EXPERTS if (ADDED and EXPERTS > 0) else 1
    for side in range(SIDES):
        for start in range(0, INPUTS, DEPTH):
            k = start + tl.arange(0, DEPTH)
            valid = k < INPUTS
            source = x + row[:, None] * (SIDES * INPUTS) + side * INPUTS + k[None, :]
            a = tl.load(source, mask=here[:, None] & valid[None, :], other=0.0)
            place = weight + side * outputs * INPUTS + col[None, :] * INPUTS + k[:, None]
            loaded = inside[None, :] & valid[:, None]
            total = tl.dot(a, tl.load(place, mask=loaded, other=0.0), total, input_precision=PRECISION)
            if GATED:
                b = tl.load(place + outputs * INPUTS, mask=loaded, other=0.0)
                others = tl.dot(a, b, others, input_precision=PRECISION)
                if EXPERTS > 0:
                    e = tl.arange(0, 16)
                    asked = (e < EXPERTS)[None, :] & valid[:, None]
                    r = tl.load(router + e[None, :] * INPUTS + k[:, None], mask=asked, other=0.0)
                    votes = tl.dot(a, r, votes, input_precision=PRECISION)
    if NORMED:
        part = tl.arange(0, PARTS_SPAN)
        summed = here[:, None] & (part < PARTS)[None, :]
        square = tl.sum(tl.load(squares + row[:, None] * PARTS + part[None, :], mask=summed, other=0.0), 1)
        scale = tl.rsqrt(square / INPUTS + epsilon)[:, None]
        total *= scale
        others *= scale
        votes *= scale
    width = outputs
    if GATED:
        total = total * tl.sigmoid(total) * others
        if EXPERTS > 0:
            share = _share(votes.to(weight.dtype.element_ty).to(tl.float32), expert, EXPERTS, CHOSEN, ONE)
            total *= share[:, None]
            width = outputs * EXPERTS
    target = row[:, None] * width + expert * outputs + col[None, :]
    stored = here[:, None] & inside[None, :]
    if ADDED:
        total += tl.load(out + target, mask=stored, other=0.0)
        scaled = total * tl.load(norm + col, mask=inside, other=0.0)[None, :]
        tl.store(weighed + target, scaled.to(weighed.dtype.element_ty), mask=stored)
        square = tl.sum(tl.where(inside[None, :], total * total, 0.0), 1)
        tl.store(squares + row * PARTS + tl.program_id(0), square, mask=here)
    tl.store(out + target, total.to(out.dtype.element_ty), mask=stored)


@triton.jit
def _share(votes, expert, EXPERTS: tl.constexpr, CHOSEN: tl.constexpr, ONE: tl.constexpr):
    """What an expert has in each row's result [rows]: its probability if it is among the CHOSEN likeliest, else 0; with
    ONE the shares of the chosen sum to one."""
    e = tl.arange(0, 16)[None, :]
    votes = tl.where(e < EXPERTS, votes, float("-inf"))
    likely = tl.exp(votes - tl.max(votes, 1)[:, None])
    likely = likely / tl.sum(likely, 1)[:, None]
    rank = tl.zeros_like(votes)
    for other in range(EXPERTS):
        value = tl.sum(tl.where(e == other, votes, 0.0), 1)[:, None]
        rank += tl.where((value > votes) | ((value == votes) & (other < e)), 1.0, 0.0)
    likely = tl.where((rank < CHOSEN) & (e < EXPERTS), likely, 0.0)
    share = tl.sum(tl.where(e == expert, likely, 0.0), 1)
    if ONE:
        share = share / tl.sum(likely, 1)
    return share


@triton.jit
def attend(
    qkv,
    norm,
    rotation,
    keys,
    values,
    starts,
    clock,
    out,
    row_stride,
    head_stride,
    positions,
    epsilon,
    scale,
    KV_HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    SIZE: tl.constexpr,
    SPAN: tl.constexpr,
    NORMED: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One token of each row attends to all before it: queries and keys are normed and rotated, the new key and value
    are stored, and the queries that share a key-value head read it together."""
    row, kv = tl.program_id(0), tl.program_id(1)
    slot, start = tl.load(clock), tl.load(starts + row)
    position = tl.maximum(slot - start, 0)
    HEADS: tl.constexpr = KV_HEADS * GROUPS
    d = tl.arange(0, SPAN)
    swapped = tl.where(d < SIZE // 2, d + SIZE // 2, d - SIZE // 2)
    valid = d < SIZE
    cos = tl.load(rotation + position * SIZE + d, mask=valid, other=0.0)
    sin = tl.load(rotation + (positions + position) * SIZE + d, mask=valid, other=0.0)

    g = tl.arange(0, 16)
    base = qkv + row * ((HEADS + 2 * KV_HEADS) * SIZE)
    head = kv * GROUPS + g
    some = (g < GROUPS)[:, None] & valid[None, :]
    q = tl.load(base + head[:, None] * SIZE + d[None, :], mask=some, other=0.0).to(tl.float32)
    q_swapped = tl.load(base + head[:, None] * SIZE + swapped[None, :], mask=some, other=0.0).to(tl.float32)
    k = tl.load(base + (HEADS + kv) * SIZE + d, mask=valid, other=0.0).to(tl.float32)
    k_swapped = tl.load(base + (HEADS + kv) * SIZE + swapped, mask=valid, other=0.0).to(tl.float32)
    v = tl.load(base + (HEADS + KV_HEADS + kv) * SIZE + d, mask=valid, other=0.0)
    if NORMED:
        q_scale = tl.rsqrt(tl.sum(q * q, 1) / SIZE + epsilon)[:, None]
        k_scale = tl.rsqrt(tl.sum(k * k, 0) / SIZE + epsilon)
        q = q * q_scale * tl.load(norm + d, mask=valid, other=0.0)[None, :]
        q_swapped = q_swapped * q_scale * tl.load(norm + swapped, mask=valid, other=0.0)[None, :]
        k = k * k_scale * tl.load(norm + HEADS * SIZE + d, mask=valid, other=0.0)
        k_swapped = k_swapped * k_scale * tl.load(norm + HEADS * SIZE + swapped, mask=valid, other=0.0)
    q = (q * cos[None, :] + q_swapped * sin[None, :]).to(keys.dtype.element_ty)
    k = (k * cos + k_swapped * sin).to(keys.dtype.element_ty)

    kept = row.to(tl.int64) * row_stride + kv * head_stride
    tl.store(keys + kept + slot * SIZE + d, k, mask=valid)
    tl.store(values + kept + slot * SIZE + d, v, mask=valid)

    # The new token is at hand; the others follow by blocks, with a running maximum.
    top = tl.sum(q.to(tl.float32) * k.to(tl.float32)[None, :], 1) * scale
    weight = tl.full((16,), 1.0, tl.float32)
    mixed = tl.zeros((16, SPAN), tl.float32) + v.to(tl.float32)[None, :]
    for first in range((start // BLOCK) * BLOCK, slot, BLOCK):
        t = first + tl.arange(0, BLOCK)
        seen = (t >= start) & (t < slot)
        block = tl.load(keys + kept + t[None, :] * SIZE + d[:, None], mask=seen[None, :] & valid[:, None], other=0.0)
        score = tl.dot(q, block, input_precision=PRECISION) * scale
        score = tl.where(seen[None, :], score, float("-inf"))
        higher = tl.maximum(top, tl.max(score, 1))
        shrink = tl.exp(top - higher)
        share = tl.exp(score - higher[:, None])
        block = tl.load(values + kept + t[:, None] * SIZE + d[None, :], mask=seen[:, None] & valid[None, :], other=0.0)
        mixed = tl.dot(share.to(block.dtype), block, mixed * shrink[:, None], input_precision=PRECISION)
        weight = weight * shrink + tl.sum(share, 1)
        top = higher
    mixed = mixed / weight[:, None]
    tl.store(out + row * (HEADS * SIZE) + head[:, None] * SIZE + d[None, :], mixed.to(out.dtype.element_ty), mask=some)


@triton.jit
def sample(
    logits,
    settings,
    noise,
    which,
    clock,
    ends,
    ids,
    logps,
    next_ids,
    done,
    limit,
    VOCABULARY: tl.constexpr,
    SPAN: tl.constexpr,
    GREEDY: tl.constexpr,
    TOP_K: tl.constexpr,
    TOP_P: tl.constexpr,
    ENDS: tl.constexpr,
):
    """The next token of each row, as `trainer.sampling.choose` has it. `settings` is [temperature, top_k, top_p]."""
    row = tl.program_id(0)
    at = tl.arange(0, SPAN)
    score = tl.load(logits + row * VOCABULARY + at, mask=at < VOCABULARY, other=float("-inf"))
    if not GREEDY:
        score = score / tl.load(settings)
    top = tl.max(score, 0)
    weight = tl.exp(score - top)
    if TOP_K or TOP_P:
        bits = score.to(tl.int32, bitcast=True)
        order = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # whole numbers in the order of the scores
        if TOP_K:
            enough = tl.load(settings + 1)
            weight = tl.where(order >= _threshold(order, tl.full((SPAN,), 1.0, tl.float32), enough), weight, 0.0)
        if TOP_P:
            enough = tl.load(settings + 2) * tl.sum(weight, 0)
            weight = tl.where(order >= _threshold(order, weight, enough), weight, 0.0)
    total = tl.sum(weight, 0)
    source = tl.load(which + row)
    place = tl.load(clock + 1)
    if GREEDY:
        token = tl.min(tl.where(score == top, at, SPAN), 0)
        token = tl.minimum(token, VOCABULARY - 1)  # no score is the highest where they are NaN
    else:
        target = (tl.load(noise + source * limit + place) * total).to(tl.float32)
        possible = weight > 0
        token = tl.min(tl.where(possible & (tl.cumsum(weight, 0) > target), at, SPAN), 0)
        last = tl.max(tl.where(possible, at, 0), 0)  # for a target that rounding puts at the sum
        token = tl.minimum(token, last)
    logp = tl.sum(tl.where(at == token, score, 0.0), 0) - top - tl.log(total)
    tl.store(ids + source * limit + place, token.to(tl.int64))
    tl.store(logps + source * limit + place, logp)
    tl.store(next_ids + row, token.to(tl.int64))
    ended = tl.load(done + row)
    end = tl.load(ends + tl.arange(0, ENDS))
    tl.store(done + row, tl.maximum(ended, tl.max((end == token).to(tl.int32), 0)))


@triton.jit
def _threshold(order, weight, enough):
    """The highest whole number at or above which the weights sum to `enough`: bit by bit, without sorting."""
    bound = tl.where(tl.sum(tl.where(order >= 0, weight, 0.0), 0) >= enough, 0, -2147483648)
    for step in range(31):
        higher = bound + (1 << (30 - step))
        bound = tl.where(tl.sum(tl.where(order >= higher, weight, 0.0), 0) >= enough, higher, bound)
    return bound
