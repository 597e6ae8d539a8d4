#include "storage/engine/intpack.h"

#include "base/bits.h"
#include "base/invariant.h"
#include "storage/engine/bitpack.h"

enum { CODE_WIDTH = 0x3f, CODE_PATCHED = 0x40, CODE_ZIGZAG = 0x80, POSITION_BITS = 7 };

/* How one mini-block will be written. */
struct mini_plan {
    uint64_t base;
    size_t bits; /* of the payload and the header bytes that depend on the choice */
    unsigned width;
    unsigned patch_count;
    unsigned patch_width;
    bool zigzag;
};

static unsigned mini_order(unsigned order, size_t count)
{
    return order < count ? order : (unsigned)count;
}

/* ---- choosing --------------------------------------------------------------------------- */

/* How many residuals need how many bits. */
struct lengths {
    uint64_t any; /* all residuals, or-ed */
    uint16_t counts[65];
};

static inline void count_length(struct lengths *lengths, uint64_t residual)
{
    lengths->any |= residual;
    lengths->counts[bit_length(residual)]++;
}

/* The width that takes the fewest bits for residuals of these lengths, longer ones patched. */
static void plan_width(struct mini_plan *plan, const struct lengths *lengths, size_t count,
                       size_t extra_bits)
{
    unsigned longest = bit_length(lengths->any);
    longest = longest == 63 ? 64 : longest;
    plan->width = longest;
    plan->patch_count = 0;
    plan->patch_width = 0;
    plan->bits = count * longest + extra_bits;
    unsigned patched = 0;
    for (unsigned width = longest; width-- > 0;) {
        patched += lengths->counts[width + 1];
        if (width == 63)
            continue;
        size_t positions = POSITION_BITS * patched > count ? count : POSITION_BITS * patched;
        size_t bits =
            count * width + positions + patched * (size_t)(longest - width) + 24 + extra_bits;
        if (bits < plan->bits) {
            plan->width = width;
            plan->patch_count = patched;
            plan->patch_width = longest - width;
            plan->bits = bits;
        }
    }
}

/* The residuals of every order, over a whole stream. */
struct order_lengths {
    struct lengths values;       /* order 0, less the smallest */
    struct lengths steps;        /* order 1, less the smallest */
    struct lengths signed_steps; /* order 1, zigzag */
    struct lengths bends;        /* order 2, zigzag */
};

static void count_orders(struct order_lengths *lengths, const int64_t *values, size_t count)
{
    int64_t min = values[0];
    int64_t min_step = INT64_MAX;
    for (size_t i = 1; i < count; i++) {
        int64_t step = wrapping_sub(values[i], values[i - 1]);
        min = values[i] < min ? values[i] : min;
        min_step = step < min_step ? step : min_step;
    }
    count_length(&lengths->values, (uint64_t)wrapping_sub(values[0], min));
    int64_t step_before = wrapping_sub(values[1], values[0]);
    for (size_t i = 1; i < count; i++) {
        int64_t step = wrapping_sub(values[i], values[i - 1]);
        count_length(&lengths->values, (uint64_t)wrapping_sub(values[i], min));
        count_length(&lengths->steps, (uint64_t)wrapping_sub(step, min_step));
        count_length(&lengths->signed_steps, zigzag_encode(step));
        count_length(&lengths->bends, zigzag_encode(wrapping_sub(step, step_before)));
        step_before = step;
    }
}

unsigned intpack_choose_order(const int64_t *values, size_t count)
{
    invariant(count > 0 && count <= INTPACK_MAX_COUNT);
    if (count < 3)
        return 0;
    struct order_lengths lengths = {0};
    count_orders(&lengths, values, count);

    /* What the headers of the mini-blocks take on top: values and steps at their beginnings. */
    size_t minis = (count + INTPACK_MINI - 1) / INTPACK_MINI;
    int64_t step = wrapping_sub(values[1], values[0]);
    int64_t rise = wrapping_sub(values[count - 1], values[0]) / (int64_t)minis;
    size_t first = 8 * varint_size(zigzag_encode(values[0]));
    size_t firsts = first + (minis - 1) * 8 * varint_size(zigzag_encode(rise));
    size_t steps = minis * 8 * varint_size(zigzag_encode(step));
    size_t bits[3];
    struct mini_plan plan;
    plan_width(&plan, &lengths.values, count, first + (minis - 1) * 8);
    bits[0] = plan.bits;
    plan_width(&plan, &lengths.steps, count - 1, firsts + minis * 8);
    bits[1] = plan.bits;
    plan_width(&plan, &lengths.signed_steps, count - 1, firsts);
    bits[1] = plan.bits < bits[1] ? plan.bits : bits[1];
    plan_width(&plan, &lengths.bends, count - 1, firsts + steps);
    bits[2] = plan.bits;
    unsigned best = bits[1] < bits[0] ? 1 : 0;
    return bits[2] < bits[best] ? 2 : best;
}

static struct mini_plan plan_mini(const uint64_t *residuals, size_t count, uint64_t base_before)
{
    struct lengths plain = {0};
    struct lengths zigzag = {0};
    int64_t min = (int64_t)residuals[0];
    for (size_t i = 1; i < count; i++)
        min = (int64_t)residuals[i] < min ? (int64_t)residuals[i] : min;
    for (size_t i = 0; i < count; i++) {
        count_length(&plain, residuals[i] - (uint64_t)min);
        count_length(&zigzag, zigzag_encode((int64_t)residuals[i]));
    }
    struct mini_plan based = {.base = (uint64_t)min};
    struct mini_plan signs = {.zigzag = true};
    uint64_t base_code = zigzag_encode((int64_t)(based.base - base_before));
    plan_width(&based, &plain, count, 8 * varint_size(base_code));
    plan_width(&signs, &zigzag, count, 0);
    return signs.bits < based.bits ? signs : based;
}

/* ---- encoding --------------------------------------------------------------------------- */

/* Writes the residuals of one mini-block of `count` values; returns how many. */
static size_t residuals_of(const int64_t *values, size_t count, unsigned order, uint64_t *residuals)
{
    if (order == 0) {
        memcpy(residuals, values, count * sizeof *residuals);
        return count;
    }
    if (count <= order)
        return 0;
    if (order == 1) {
        for (size_t i = 1; i < count; i++)
            residuals[i - 1] = (uint64_t)values[i] - (uint64_t)values[i - 1];
        return count - 1;
    }
    for (size_t i = 2; i < count; i++)
        residuals[i - 2] =
            (uint64_t)values[i] - 2 * (uint64_t)values[i - 1] + (uint64_t)values[i - 2];
    return count - 2;
}

struct header_state {
    uint64_t first;
    uint64_t difference;
    uint64_t base;
};

static uint8_t *put_seeds(uint8_t *to, const int64_t *values, size_t count, unsigned order,
                          struct header_state *state)
{
    unsigned seeds = mini_order(order, count);
    if (seeds >= 1) {
        uint64_t first = (uint64_t)values[0];
        to = varint_put(to, zigzag_encode((int64_t)(first - state->first)));
        state->first = first;
    }
    if (seeds >= 2) {
        uint64_t difference = (uint64_t)values[1] - (uint64_t)values[0];
        to = varint_put(to, zigzag_encode((int64_t)(difference - state->difference)));
        state->difference = difference;
    }
    return to;
}

static uint8_t *put_plan(uint8_t *to, const struct mini_plan *plan, struct header_state *state)
{
    unsigned code = plan->width == 64 ? 63 : plan->width;
    code |= plan->patch_count > 0 ? CODE_PATCHED : 0;
    code |= plan->zigzag ? CODE_ZIGZAG : 0;
    *to++ = (uint8_t)code;
    if (plan->patch_count > 0) {
        *to++ = (uint8_t)plan->patch_count;
        *to++ = (uint8_t)plan->patch_width;
    }
    if (!plan->zigzag) {
        to = varint_put(to, zigzag_encode((int64_t)(plan->base - state->base)));
        state->base = plan->base;
    }
    return to;
}

static bool patches_use_bitmap(size_t residuals, size_t patches)
{
    return POSITION_BITS * patches > residuals;
}

static uint8_t *put_payload(uint8_t *to, uint64_t *residuals, size_t count,
                            const struct mini_plan *plan)
{
    for (size_t i = 0; i < count; i++)
        residuals[i] =
            plan->zigzag ? zigzag_encode((int64_t)residuals[i]) : residuals[i] - plan->base;
    if (plan->patch_count == 0) {
        bitpack_pack(residuals, count, plan->width, to);
        return to + bitpack_size(count, plan->width);
    }
    uint64_t positions[INTPACK_MINI];
    uint64_t highs[INTPACK_MINI];
    uint64_t mask = (UINT64_C(1) << plan->width) - 1;
    size_t patches = 0;
    for (size_t i = 0; i < count; i++) {
        if (residuals[i] > mask) {
            positions[patches] = i;
            highs[patches++] = residuals[i] >> plan->width;
            residuals[i] &= mask;
        }
    }
    invariant(patches == plan->patch_count);
    bitpack_pack(residuals, count, plan->width, to);
    to += bitpack_size(count, plan->width);
    if (patches_use_bitmap(count, patches)) {
        memset(to, 0, bitpack_size(count, 1));
        for (size_t i = 0; i < patches; i++)
            to[positions[i] / 8] |= (uint8_t)(1u << (positions[i] % 8));
        to += bitpack_size(count, 1);
    } else {
        bitpack_pack(positions, patches, POSITION_BITS, to);
        to += bitpack_size(patches, POSITION_BITS);
    }
    bitpack_pack(highs, patches, plan->patch_width, to);
    return to + bitpack_size(patches, plan->patch_width);
}

size_t intpack_encode(const int64_t *values, size_t count, unsigned order, uint8_t *to)
{
    invariant(count > 0 && count <= INTPACK_MAX_COUNT && order <= INTPACK_MAX_ORDER);
    struct mini_plan plans[INTPACK_MAX_MINIS] = {0};
    uint64_t residuals[INTPACK_MINI];
    struct header_state state = {0};
    uint8_t *next = to;
    for (size_t start = 0, mini = 0; start < count; start += INTPACK_MINI, mini++) {
        size_t n = count - start < INTPACK_MINI ? count - start : INTPACK_MINI;
        next = put_seeds(next, values + start, n, order, &state);
        size_t rest = residuals_of(values + start, n, order, residuals);
        if (rest > 0) {
            plans[mini] = plan_mini(residuals, rest, state.base);
            next = put_plan(next, &plans[mini], &state);
        }
    }
    for (size_t start = 0, mini = 0; start < count; start += INTPACK_MINI, mini++) {
        size_t n = count - start < INTPACK_MINI ? count - start : INTPACK_MINI;
        size_t rest = residuals_of(values + start, n, order, residuals);
        if (rest > 0)
            next = put_payload(next, residuals, rest, &plans[mini]);
    }
    return (size_t)(next - to);
}

/* ---- decoding --------------------------------------------------------------------------- */

static const uint8_t *get_signed(const uint8_t *from, const uint8_t *end, uint64_t *value)
{
    uint64_t code;
    from = varint_get(from, end, &code);
    if (from != NULL)
        *value = (uint64_t)zigzag_decode(code);
    return from;
}

static const uint8_t *get_code(const uint8_t *from, const uint8_t *end, struct intpack_mini *mini,
                               struct header_state *state)
{
    if (from == end)
        return NULL;
    unsigned code = *from++;
    mini->width = (uint8_t)((code & CODE_WIDTH) == 63 ? 64 : code & CODE_WIDTH);
    mini->zigzag = (code & CODE_ZIGZAG) != 0;
    if ((code & CODE_PATCHED) != 0) {
        if (end - from < 2)
            return NULL;
        mini->patch_count = *from++;
        mini->patch_width = *from++;
        if (mini->patch_count == 0 || mini->patch_count > mini->residual_count ||
            mini->patch_width == 0 || mini->width + mini->patch_width > 64)
            return NULL;
    }
    if (!mini->zigzag) {
        uint64_t base;
        from = get_signed(from, end, &base);
        if (from == NULL)
            return NULL;
        state->base += base;
        mini->base = state->base;
    }
    return from;
}

static const uint8_t *get_mini(const uint8_t *from, const uint8_t *end, size_t count,
                               unsigned order, struct intpack_mini *mini,
                               struct header_state *state)
{
    unsigned seeds = mini_order(order, count);
    uint64_t step;
    *mini = (struct intpack_mini){.residual_count = (uint8_t)(count - seeds)};
    if (seeds >= 1) {
        if ((from = get_signed(from, end, &step)) == NULL)
            return NULL;
        state->first += step;
        mini->first = state->first;
    }
    if (seeds >= 2) {
        if ((from = get_signed(from, end, &step)) == NULL)
            return NULL;
        state->difference += step;
        mini->first_difference = state->difference;
    }
    return mini->residual_count == 0 ? from : get_code(from, end, mini, state);
}

static size_t positions_size(const struct intpack_mini *mini)
{
    if (patches_use_bitmap(mini->residual_count, mini->patch_count))
        return bitpack_size(mini->residual_count, 1);
    return bitpack_size(mini->patch_count, POSITION_BITS);
}

static size_t payload_size(const struct intpack_mini *mini)
{
    size_t size = bitpack_size(mini->residual_count, mini->width);
    if (mini->patch_count > 0)
        size += positions_size(mini) + bitpack_size(mini->patch_count, mini->patch_width);
    return size;
}

enum status intpack_open(struct intpack_reader *reader, struct slice from, size_t count,
                         unsigned order, struct error *err)
{
    if (count == 0 || count > INTPACK_MAX_COUNT || order > INTPACK_MAX_ORDER)
        return fail(err, STATUS_CORRUPT, "packed integers: %zu values of order %u are none we know",
                    count, order);
    reader->from = from;
    reader->order = order;
    reader->count = (unsigned)count;
    reader->mini_count = (unsigned)((count + INTPACK_MINI - 1) / INTPACK_MINI);
    struct header_state state = {0};
    const uint8_t *next = from.data;
    const uint8_t *end = from.data + from.size;
    for (unsigned i = 0; i < reader->mini_count; i++) {
        size_t left = count - (size_t)i * INTPACK_MINI;
        next = get_mini(next, end, left < INTPACK_MINI ? left : INTPACK_MINI, order,
                        &reader->minis[i], &state);
        if (next == NULL)
            return fail(err, STATUS_CORRUPT, "packed integers: header of mini-block %u is broken",
                        i);
    }
    size_t offset = (size_t)(next - from.data);
    for (unsigned i = 0; i < reader->mini_count; i++) {
        reader->minis[i].offset = (uint32_t)offset;
        offset += payload_size(&reader->minis[i]);
    }
    if (offset != from.size)
        return fail(err, STATUS_CORRUPT, "packed integers: %zu bytes where headers promise %zu",
                    from.size, offset);
    return STATUS_OK;
}

/* Puts the patched high bits in; false where the positions are nonsense. */
static bool apply_patches(const struct intpack_mini *mini, struct slice from, uint64_t *values)
{
    uint64_t highs[INTPACK_MINI];
    size_t patches = mini->patch_count;
    struct slice packed = slice_from(from, positions_size(mini));
    bitpack_unpack(packed, patches, mini->patch_width, highs);
    unsigned width = mini->width;
    if (!patches_use_bitmap(mini->residual_count, patches)) {
        uint64_t positions[INTPACK_MINI];
        bitpack_unpack(from, patches, POSITION_BITS, positions);
        for (size_t i = 0; i < patches; i++) {
            if (positions[i] >= mini->residual_count)
                return false;
            values[positions[i]] |= highs[i] << width;
        }
        return true;
    }
    uint8_t bitmap[INTPACK_MINI / 8] = {0};
    memcpy(bitmap, from.data, positions_size(mini));
    uint64_t words[2] = {load_u64(bitmap), load_u64(bitmap + 8)};
    if ((size_t)__builtin_popcountll(words[0]) + (size_t)__builtin_popcountll(words[1]) != patches)
        return false;
    if (!bitpack_tail_is_zero(from.data, mini->residual_count, 1))
        return false;
    size_t next = 0;
    for (size_t half = 0; half < 2; half++)
        for (uint64_t word = words[half]; word != 0; word &= word - 1)
            values[half * 64 + (size_t)__builtin_ctzll(word)] |= highs[next++] << width;
    return true;
}

/* Always all 128, so that the compiler knows the count and takes several at a time. */
static void undo_zigzag(uint64_t values[INTPACK_MINI])
{
    for (size_t i = 0; i < INTPACK_MINI; i++)
        values[i] = (values[i] >> 1) ^ (0 - (values[i] & 1));
}

static void add_base(uint64_t values[INTPACK_MINI], uint64_t base)
{
    for (size_t i = 0; i < INTPACK_MINI; i++)
        values[i] += base;
}

/* Turns residuals, which begin at values[order] and lack the base, into the integers. */
static void undo_differences(const struct intpack_mini *mini, unsigned seeds, size_t count,
                             uint64_t *values)
{
    uint64_t base = mini->base;
    uint64_t value = mini->first;
    values[0] = value;
    if (seeds == 1) {
        for (size_t i = 1; i < count; i++)
            values[i] = value += values[i] + base;
        return;
    }
    uint64_t difference = mini->first_difference;
    values[1] = value += difference;
    for (size_t i = 2; i < count; i++)
        values[i] = value += difference += values[i] + base;
}

enum status intpack_read(const struct intpack_reader *reader, size_t index,
                         int64_t values[INTPACK_MINI], size_t *count, struct error *err)
{
    invariant(index < reader->mini_count);
    const struct intpack_mini *mini = &reader->minis[index];
    size_t left = reader->count - index * INTPACK_MINI;
    size_t n = left < INTPACK_MINI ? left : INTPACK_MINI;
    unsigned seeds = mini_order(reader->order, n);
    uint64_t *residuals = (uint64_t *)values + seeds;
    struct slice from = slice_from(reader->from, mini->offset);
    if (n < INTPACK_MINI)
        memset(values + n, 0, (INTPACK_MINI - n) * sizeof *values);
    memset(values, 0, seeds * sizeof *values);
    bitpack_unpack(from, mini->residual_count, mini->width, residuals);
    if (mini->patch_count > 0 &&
        !apply_patches(mini, slice_from(from, bitpack_size(mini->residual_count, mini->width)),
                       residuals))
        return fail(err, STATUS_CORRUPT, "packed integers: patches of mini-block %zu are broken",
                    index);
    if (mini->zigzag)
        undo_zigzag((uint64_t *)values);
    if (seeds > 0)
        undo_differences(mini, seeds, n, (uint64_t *)values);
    else if (mini->base != 0)
        add_base((uint64_t *)values, mini->base);
    *count = n;
    return STATUS_OK;
}

enum status intpack_decode(struct slice from, size_t count, unsigned order, int64_t *values,
                           struct error *err)
{
    struct intpack_reader reader = {0};
    enum status status = intpack_open(&reader, from, count, order, err);
    for (size_t i = 0; status == STATUS_OK && i < reader.mini_count; i++) {
        int64_t mini[INTPACK_MINI];
        size_t n = 0;
        status = intpack_read(&reader, i, mini, &n, err);
        if (status == STATUS_OK)
            memcpy(values + i * INTPACK_MINI, mini, n * sizeof *values);
    }
    return status;
}
