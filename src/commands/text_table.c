#include "commands/text_table.h"

#include "base/utf8.h"

enum { GAP = 2 };

static uint32_t code_at(const uint8_t *at, size_t size)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = at[0] & masks[size];
    for (size_t i = 1; i < size; i++)
        code = code << 6 | (at[i] & 0x3f);
    return code;
}

struct code_range {
    uint32_t first, last;
};

static bool is_within(uint32_t code, const struct code_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

/* Unicode 15, general categories Mn, Me and Cf, and East Asian Width W and F, by their blocks. */
static size_t code_width(uint32_t code)
{
    static const struct code_range none[] = {
        {0x0300, 0x036f}, {0x0483, 0x0489},   {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
        {0x0900, 0x0902}, {0x093c, 0x093c},   {0x0941, 0x0948}, {0x094d, 0x094d}, {0x0e31, 0x0e31},
        {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f},
        {0x202a, 0x202e}, {0x2060, 0x2064},   {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
        {0xfeff, 0xfeff}, {0xe0100, 0xe01ef},
    };
    static const struct code_range wide[] = {
        {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x25fd, 0x25fe},
        {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26a1, 0x26a1},   {0x2705, 0x2705},
        {0x274c, 0x274c},   {0x2753, 0x2755},   {0x2795, 0x2797},   {0x2e80, 0x303e},
        {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},
        {0xa960, 0xa97c},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
        {0xff01, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
        {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
    };
    if (is_within(code, none, sizeof none / sizeof none[0]))
        return 0;
    return is_within(code, wide, sizeof wide / sizeof wide[0]) ? 2 : 1;
}

size_t text_width(struct slice text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.size;) {
        size_t size = utf8_char_size(text, at);
        width += size == 0 ? 1 : code_width(code_at(text.data + at, size));
        at += size == 0 ? 1 : size;
    }
    return width;
}

enum status text_table_init(struct text_table *table, size_t columns, struct arena *arena)
{
    *table = (struct text_table){.arena = arena, .columns = columns};
    table->right = arena_calloc(arena, columns, sizeof table->right[0]);
    return table->right == NULL ? arena_status(arena) : STATUS_OK;
}

/* C0 and C1 controls, DEL, and bytes that are no UTF-8. */
static bool needs_escape(struct slice text, size_t at, size_t size)
{
    if (size == 0)
        return true;
    uint32_t code = code_at(text.data + at, size);
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

enum status text_printable(struct arena *arena, struct slice *text)
{
    static const char digits[] = "0123456789abcdef";
    bool clean = true;
    for (size_t at = 0; at < text->size && clean;) {
        size_t size = utf8_char_size(*text, at);
        clean = !needs_escape(*text, at, size);
        at += size;
    }
    if (clean)
        return STATUS_OK;
    uint8_t *shown = arena_alloc(arena, text->size * 4);
    if (shown == NULL)
        return arena_status(arena);
    uint8_t *to = shown;
    for (size_t at = 0; at < text->size;) {
        size_t size = utf8_char_size(*text, at);
        size_t step = size == 0 ? 1 : size;
        if (!needs_escape(*text, at, size)) {
            memcpy(to, text->data + at, size);
            to += size;
        } else if (text->data[at] == '\n') {
            memcpy(to, "\\n", 2);
            to += 2;
        } else {
            for (size_t i = 0; i < step; i++) {
                memcpy(to, "\\x", 2);
                to[2] = (uint8_t)digits[text->data[at + i] >> 4];
                to[3] = (uint8_t)digits[text->data[at + i] & 15];
                to += 4;
            }
        }
        at += step;
    }
    *text = slice_of(shown, (size_t)(to - shown));
    return STATUS_OK;
}

enum status text_table_add(struct text_table *table, struct slice text)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity == 0 ? 256 : 2 * table->capacity;
        struct slice *cells = arena_grow(table->arena, table->cells, table->count * sizeof cells[0],
                                         capacity * sizeof cells[0]);
        if (cells == NULL)
            return arena_status(table->arena);
        table->cells = cells;
        table->capacity = capacity;
    }
    enum status status = text_printable(table->arena, &text);
    if (status == STATUS_OK)
        table->cells[table->count++] = text;
    return status;
}

static enum status put_spaces(struct bytes *to, size_t count)
{
    enum status status = bytes_reserve(to, count);
    if (status != STATUS_OK)
        return status;
    memset(to->data + to->size, ' ', count);
    to->size += count;
    return STATUS_OK;
}

static enum status put_row(const struct text_table *table, const struct slice *cells,
                           const size_t *widths, struct bytes *to)
{
    enum status status = STATUS_OK;
    for (size_t column = 0; column < table->columns && status == STATUS_OK; column++) {
        struct slice cell = cells[column];
        size_t space = widths[column] - text_width(cell);
        bool last = column + 1 == table->columns;
        if (table->right[column])
            status = put_spaces(to, space);
        if (status == STATUS_OK)
            status = bytes_append(to, cell.data, cell.size);
        if (status == STATUS_OK && !last)
            status = put_spaces(to, GAP + (table->right[column] ? 0 : space));
    }
    return status == STATUS_OK ? bytes_append(to, "\n", 1) : status;
}

enum status text_table_print(const struct text_table *table, struct bytes *to)
{
    size_t rows = table->count / table->columns;
    size_t *widths = arena_calloc(table->arena, table->columns, sizeof widths[0]);
    if (widths == NULL)
        return arena_status(table->arena);
    for (size_t i = 0; i < rows * table->columns; i++) {
        size_t width = text_width(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    enum status status = STATUS_OK;
    for (size_t row = 0; row < rows && status == STATUS_OK; row++)
        status = put_row(table, table->cells + row * table->columns, widths, to);
    return status;
}
