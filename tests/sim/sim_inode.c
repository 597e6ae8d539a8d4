#include "sim_disk_state.h"

#include "base/invariant.h"
#include "sim_os.h"

#include <stdlib.h>
#include <string.h>

int sim_inode_new(struct sim_disk *disk, bool is_directory)
{
    struct sim_inode *inode = calloc(1, sizeof *inode);
    disk->inodes = realloc(disk->inodes, (disk->inode_count + 1) * sizeof(struct sim_inode *));
    invariant(inode != NULL && disk->inodes != NULL);
    inode->references = 1;
    inode->is_directory = is_directory;
    disk->inodes[disk->inode_count] = inode;
    return (int)disk->inode_count++;
}

static void write_release(struct sim_write *write)
{
    if (write->buffer != NULL && --write->buffer->references == 0)
        free(write->buffer);
}

void sim_inode_forget_writes(struct sim_inode *inode)
{
    for (size_t i = 0; i < inode->write_count; i++)
        write_release(&inode->writes[i]);
    free(inode->writes);
    inode->writes = NULL;
    inode->write_count = 0;
}

void sim_inode_release(struct sim_inode *inode)
{
    if (inode == NULL || --inode->references > 0)
        return;
    sim_inode_forget_writes(inode);
    sim_content_release(&inode->current);
    sim_content_release(&inode->durable);
    sim_names_release(&inode->names);
    sim_names_release(&inode->durable_names);
    free(inode);
}

struct sim_inode *sim_inode_own(struct sim_disk *disk, int number)
{
    struct sim_inode *old = disk->inodes[number];
    if (old->references == 1)
        return old;
    struct sim_inode *inode = malloc(sizeof *inode);
    invariant(inode != NULL);
    *inode = *old;
    inode->references = 1;
    sim_content_copy(&inode->current, &old->current);
    sim_content_copy(&inode->durable, &old->durable);
    sim_names_copy(&inode->names, &old->names);
    sim_names_copy(&inode->durable_names, &old->durable_names);
    inode->writes = NULL;
    if (old->write_count > 0) {
        inode->writes = malloc(old->write_count * sizeof *inode->writes);
        invariant(inode->writes != NULL);
        memcpy(inode->writes, old->writes, old->write_count * sizeof *inode->writes);
    }
    for (size_t i = 0; i < inode->write_count; i++)
        if (inode->writes[i].buffer != NULL)
            inode->writes[i].buffer->references++;
    old->references--;
    disk->inodes[number] = inode;
    return inode;
}

static struct sim_write *write_add(struct sim_inode *inode)
{
    inode->writes = realloc(inode->writes, (inode->write_count + 1) * sizeof *inode->writes);
    invariant(inode->writes != NULL);
    return &inode->writes[inode->write_count++];
}

void sim_inode_write(struct sim_inode *inode, const void *from, size_t size, uint64_t offset)
{
    if (size == 0)
        return;
    struct sim_buffer *buffer = malloc(sizeof *buffer + size);
    invariant(buffer != NULL);
    buffer->references = 1;
    memcpy(buffer->bytes, from, size);
    sim_content_write(&inode->current, from, size, offset);
    *write_add(inode) = (struct sim_write){
        .offset = offset, .size = size, .size_after = inode->current.size, .buffer = buffer};
}

void sim_inode_resize(struct sim_inode *inode, uint64_t size)
{
    sim_content_resize(&inode->current, size);
    *write_add(inode) = (struct sim_write){.offset = size, .size_after = size};
}

void sim_inode_sync(struct sim_inode *inode)
{
    if (inode->lost) {
        for (size_t i = 0; i < inode->write_count; i++) {
            const struct sim_write *write = &inode->writes[i];
            if (write->buffer != NULL)
                sim_content_write(&inode->durable, write->buffer->bytes, (size_t)write->size,
                                  write->offset);
            else
                sim_content_resize(&inode->durable, write->size_after);
        }
    } else if (inode->write_count > 0) {
        sim_content_release(&inode->durable);
        sim_content_copy(&inode->durable, &inode->current);
    }
    sim_inode_forget_writes(inode);
}

/*
 * One crash keeps most, some or few of the sectors, so that among many seeds there are states where
 * one write is missing and states where one write is there.
 */
struct sector_choice {
    uint8_t *stopped; /* sectors of which an earlier write was dropped */
    uint64_t *random;
    unsigned keep_of_8;
};

static bool chance(uint64_t *random, unsigned of_8)
{
    return sim_below(random, 8) < of_8;
}

static void crash_write(struct sim_inode *inode, const struct sim_write *write,
                        struct sector_choice *choice)
{
    enum { KEEP, DROP, TEAR };
    int fate = chance(choice->random, 2)                   ? TEAR
               : chance(choice->random, choice->keep_of_8) ? KEEP
                                                           : DROP;
    uint64_t end = write->offset + write->size;
    for (uint64_t at = write->offset; at < end;) {
        uint64_t sector = at / SIM_SECTOR_SIZE;
        uint64_t stop = (sector + 1) * SIM_SECTOR_SIZE < end ? (sector + 1) * SIM_SECTOR_SIZE : end;
        bool kept = fate == TEAR ? chance(choice->random, choice->keep_of_8) : fate == KEEP;
        if (!kept)
            choice->stopped[sector] = 1;
        if (choice->stopped[sector] == 0)
            sim_content_write(&inode->durable, write->buffer->bytes + (at - write->offset),
                              (size_t)(stop - at), at);
        at = stop;
    }
}

void sim_inode_crash(struct sim_inode *inode, uint64_t *random)
{
    static const unsigned keeps[] = {0, 1, 4, 7, 8};
    if (inode->write_count > 0) {
        uint64_t largest = inode->durable.size;
        for (size_t i = 0; i < inode->write_count; i++)
            if (inode->writes[i].size_after > largest)
                largest = inode->writes[i].size_after;
        struct sector_choice choice = {
            .stopped = calloc(1, (size_t)(largest / SIM_SECTOR_SIZE + 1)),
            .random = random,
            .keep_of_8 = keeps[sim_below(random, sizeof keeps / sizeof keeps[0])],
        };
        invariant(choice.stopped != NULL);
        /* The size is what it was after so many of the writes. */
        size_t sized = choice.keep_of_8 == 8   ? inode->write_count
                       : choice.keep_of_8 == 0 ? 0
                                               : sim_below(random, inode->write_count + 1);
        uint64_t size = sized == 0 ? inode->durable.size : inode->writes[sized - 1].size_after;
        for (size_t i = 0; i < inode->write_count; i++) {
            const struct sim_write *write = &inode->writes[i];
            if (write->buffer != NULL)
                crash_write(inode, write, &choice);
            else if (i < sized)
                sim_content_resize(&inode->durable, write->size_after);
            else
                break; /* a resize that did not happen: nothing after it did */
        }
        sim_content_resize(&inode->durable, size);
        free(choice.stopped);
        sim_inode_forget_writes(inode);
    }
    sim_content_release(&inode->current);
    sim_content_copy(&inode->current, &inode->durable);
    inode->lost = false;
    inode->locked = false;
}

int sim_names_find(const struct sim_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->names[i].name, name) == 0)
            return names->names[i].inode;
    return SIM_NO_INODE;
}

void sim_names_set(struct sim_names *names, const char *name, int inode)
{
    size_t at = 0;
    while (at < names->count && strcmp(names->names[at].name, name) != 0)
        at++;
    if (inode == SIM_NO_INODE) {
        if (at < names->count)
            names->names[at] = names->names[--names->count];
        return;
    }
    if (at == names->count) {
        names->names = realloc(names->names, (names->count + 1) * sizeof *names->names);
        invariant(names->names != NULL);
        names->count++;
        snprintf(names->names[at].name, SIM_NAME_SIZE, "%s", name);
    }
    names->names[at].inode = inode;
}

void sim_names_copy(struct sim_names *to, const struct sim_names *from)
{
    *to = *from;
    to->names = NULL;
    if (from->count == 0)
        return;
    to->names = malloc(from->count * sizeof *to->names);
    invariant(to->names != NULL);
    memcpy(to->names, from->names, from->count * sizeof *to->names);
}

void sim_names_release(struct sim_names *names)
{
    free(names->names);
    *names = (struct sim_names){0};
}
