/* A server's answer may be any bytes; what becomes a tree is bounded and within the text or arena.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#include "base/hash.h"
#include "base/invariant.h"
#include "commands/json_tree.h"

static size_t walk(const struct json_node *node, unsigned depth)
{
    invariant(depth <= JSON_TREE_DEPTH);
    size_t nodes = 1;
    size_t count = 0;
    /* Every byte is read, so that a sanitizer sees one that is not there. */
    invariant(hash64(node->text, 1) == hash64(node->text, 1));
    invariant(hash64(node->key, 1) == hash64(node->key, 1));
    for (const struct json_node *item = node->first; item != NULL; item = item->next) {
        nodes += walk(item, depth + 1);
        count++;
    }
    invariant(count == node->count);
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly this size, so that a sanitizer sees a read behind its end. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    invariant(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    struct arena arena;
    struct json_node *root = NULL;
    struct error err = {0};
    arena_init(&arena, 1 << 20);
    enum status status = json_tree_parse(slice_of(copy, size), &arena, &root, &err);
    invariant(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT);
    invariant((status == STATUS_OK) == (err.message[0] == 0));
    if (status == STATUS_OK) {
        invariant(walk(root, 0) <= size);
        uint64_t number = json_member_number(root, "a");
        invariant(number <= UINT64_C(999999999999999999));
    }
    arena_release(&arena);
    free(copy);
    return 0;
}
