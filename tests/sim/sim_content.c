#include "sim_content.h"

#include "base/invariant.h"

#include <stdlib.h>
#include <string.h>

struct sim_page {
    unsigned references;
    uint8_t bytes[SIM_PAGE_SIZE];
};

static void page_release(struct sim_page *page)
{
    if (page != NULL && --page->references == 0)
        free(page);
}

/* A page that only this content holds. */
static struct sim_page *page_own(struct sim_page **slot)
{
    struct sim_page *old = *slot;
    if (old != NULL && old->references == 1)
        return old;
    struct sim_page *page = calloc(1, sizeof *page);
    invariant(page != NULL);
    page->references = 1;
    if (old != NULL)
        memcpy(page->bytes, old->bytes, SIM_PAGE_SIZE);
    page_release(old);
    *slot = page;
    return page;
}

void sim_content_copy(struct sim_content *to, const struct sim_content *from)
{
    *to = *from;
    if (from->page_count == 0) {
        to->pages = NULL;
        return;
    }
    to->pages = malloc(from->page_count * sizeof *to->pages);
    invariant(to->pages != NULL);
    for (size_t i = 0; i < from->page_count; i++) {
        to->pages[i] = from->pages[i];
        if (to->pages[i] != NULL)
            to->pages[i]->references++;
    }
}

void sim_content_release(struct sim_content *content)
{
    for (size_t i = 0; i < content->page_count; i++)
        page_release(content->pages[i]);
    free(content->pages);
    *content = (struct sim_content){0};
}

size_t sim_content_read(const struct sim_content *content, void *to, size_t size, uint64_t offset)
{
    if (offset >= content->size)
        return 0;
    if (size > content->size - offset)
        size = (size_t)(content->size - offset);
    size_t done = 0;
    while (done < size) {
        size_t index = (size_t)((offset + done) / SIM_PAGE_SIZE);
        size_t within = (size_t)((offset + done) % SIM_PAGE_SIZE);
        size_t part = SIM_PAGE_SIZE - within < size - done ? SIM_PAGE_SIZE - within : size - done;
        const struct sim_page *page = index < content->page_count ? content->pages[index] : NULL;
        if (page != NULL)
            memcpy((uint8_t *)to + done, page->bytes + within, part);
        else
            memset((uint8_t *)to + done, 0, part);
        done += part;
    }
    return done;
}

static void reserve_pages(struct sim_content *content, size_t count)
{
    if (count <= content->page_count)
        return;
    content->pages = realloc(content->pages, count * sizeof *content->pages);
    invariant(content->pages != NULL);
    for (size_t i = content->page_count; i < count; i++)
        content->pages[i] = NULL;
    content->page_count = count;
}

void sim_content_write(struct sim_content *content, const void *from, size_t size, uint64_t offset)
{
    if (size == 0)
        return;
    reserve_pages(content, (size_t)((offset + size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE));
    size_t done = 0;
    while (done < size) {
        size_t index = (size_t)((offset + done) / SIM_PAGE_SIZE);
        size_t within = (size_t)((offset + done) % SIM_PAGE_SIZE);
        size_t part = SIM_PAGE_SIZE - within < size - done ? SIM_PAGE_SIZE - within : size - done;
        struct sim_page *page = page_own(&content->pages[index]);
        memcpy(page->bytes + within, (const uint8_t *)from + done, part);
        done += part;
    }
    if (offset + size > content->size)
        content->size = offset + size;
}

void sim_content_resize(struct sim_content *content, uint64_t size)
{
    size_t kept = (size_t)((size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE);
    for (size_t i = kept; i < content->page_count; i++)
        page_release(content->pages[i]);
    if (kept < content->page_count)
        content->page_count = kept;
    size_t within = (size_t)(size % SIM_PAGE_SIZE);
    if (within != 0 && kept == content->page_count && content->pages[kept - 1] != NULL) {
        struct sim_page *page = page_own(&content->pages[kept - 1]);
        memset(page->bytes + within, 0, SIM_PAGE_SIZE - within);
    }
    content->size = size;
}

uint64_t sim_content_allocated(const struct sim_content *content)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < content->page_count; i++)
        bytes += content->pages[i] != NULL ? SIM_PAGE_SIZE : 0;
    return bytes;
}

uint64_t sim_content_growth(const struct sim_content *content, uint64_t offset, size_t size)
{
    if (size == 0)
        return 0;
    uint64_t bytes = 0;
    for (uint64_t i = offset / SIM_PAGE_SIZE; i <= (offset + size - 1) / SIM_PAGE_SIZE; i++)
        if (i >= content->page_count || content->pages[i] == NULL)
            bytes += SIM_PAGE_SIZE;
    return bytes;
}
