#include "cxx/json.h"

#include <memory>
#include <new>

#include <simdjson.h>

struct json_index {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
};

namespace
{

/* simdjson's second stage would need more; it is not used. */
enum { INDEX_DEPTH = 1 };

/* Texts differ a little in size from call to call: not a new index for each. */
constexpr size_t CAPACITY_STEP = 64 * 1024;

simdjson::error_code reserve(json_index &index, size_t size)
{
    if (index.stage && index.stage->capacity() >= size)
        return simdjson::SUCCESS;
    index.stage.reset();
    return simdjson::get_active_implementation()->create_dom_parser_implementation(
        (size + CAPACITY_STEP - 1) / CAPACITY_STEP * CAPACITY_STEP, INDEX_DEPTH, index.stage);
}

} // namespace

struct json_index *json_index_new(void)
{
    return new (std::nothrow) json_index();
}

void json_index_free(struct json_index *index)
{
    delete index;
}

void json_index_trim(struct json_index *index, size_t size)
{
    if (index->stage && index->stage->capacity() > size)
        index->stage.reset();
}

enum status json_index_build(struct json_index *index, struct slice text, const uint32_t **offsets,
                             size_t *count)
{
    *offsets = nullptr;
    *count = 0;
    if (reserve(*index, text.size > 0 ? text.size : 1) != simdjson::SUCCESS) {
        index->stage.reset();
        return STATUS_MEMORY;
    }
    simdjson::error_code error = simdjson::EMPTY;
    if (text.size > 0)
        error = index->stage->stage1(text.data, text.size, simdjson::stage1_mode::regular);
    if (error != simdjson::SUCCESS && error != simdjson::EMPTY)
        return STATUS_INVALID;
    *count = error == simdjson::EMPTY ? 0 : index->stage->n_structural_indexes;
    index->stage->structural_indexes[*count] = static_cast<uint32_t>(text.size);
    *offsets = index->stage->structural_indexes.get();
    return STATUS_OK;
}
