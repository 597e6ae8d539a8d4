/*
 * sim_disk_state - the inside of sim_disk, shared by its own files.
 *
 * Inodes are numbered and never reused; the root is 0. An inode is shared by clones until one of
 * them changes it (sim_inode_own).
 */
#ifndef METRIC_STORE_TESTS_SIM_DISK_STATE_H
#define METRIC_STORE_TESTS_SIM_DISK_STATE_H

#include "sim_content.h"
#include "sim_disk.h"

enum { SIM_NO_INODE = -1 };

struct sim_buffer {
    unsigned references;
    uint8_t bytes[];
};

/* A write or resize since the last sync. */
struct sim_write {
    uint64_t offset;
    uint64_t size;
    uint64_t size_after;       /* of the file */
    struct sim_buffer *buffer; /* NULL: a resize */
};

struct sim_name {
    char name[SIM_NAME_SIZE];
    int inode;
};

struct sim_names {
    struct sim_name *names;
    size_t count;
};

struct sim_inode {
    unsigned references;
    bool is_directory;
    bool locked;
    uint64_t unreadable_from, unreadable_to;
    bool lost; /* a sync failed: the durable content lacks bytes that the current one shows */
    struct sim_content current;
    struct sim_content durable;
    struct sim_write *writes;
    size_t write_count;
    struct sim_names names; /* of a directory */
    struct sim_names durable_names;
};

struct sim_name_change {
    int directory;
    int inode; /* SIM_NO_INODE: the name goes */
    char name[SIM_NAME_SIZE];
};

/* A creation, removal or rename that no sync_directory has made durable. */
struct sim_name_operation {
    struct sim_name_change changes[2];
    size_t count;
};

struct sim_disk {
    struct filesystem fs;
    struct sim_inode **inodes;
    size_t inode_count;
    struct sim_name_operation *operations;
    size_t operation_count;
    unsigned generation; /* counts crashes */
    size_t open_files;
    uint64_t calls;
    uint64_t random;
    uint64_t space_limit;
    struct sim_fault faults[SIM_FAULTS_MAX];
    size_t fault_count;
    bool faults_paused;
    sim_hook *hook;
    void *hook_context;
    struct sim_sites *sites;
    FILE *log;
};

/* sim_inode.c */
int sim_inode_new(struct sim_disk *disk, bool is_directory);
/* For changing it: a copy where clones share it. */
struct sim_inode *sim_inode_own(struct sim_disk *disk, int number);
void sim_inode_release(struct sim_inode *inode);
void sim_inode_write(struct sim_inode *inode, const void *from, size_t size, uint64_t offset);
void sim_inode_resize(struct sim_inode *inode, uint64_t size);
void sim_inode_sync(struct sim_inode *inode);
/* Forgets the writes since the last sync without undoing them. */
void sim_inode_forget_writes(struct sim_inode *inode);
/* What a crash leaves of the content. */
void sim_inode_crash(struct sim_inode *inode, uint64_t *random);

int sim_names_find(const struct sim_names *names, const char *name);
/* SIM_NO_INODE: removes it, where it is. */
void sim_names_set(struct sim_names *names, const char *name, int inode);
void sim_names_copy(struct sim_names *to, const struct sim_names *from);
void sim_names_release(struct sim_names *names);

#endif
