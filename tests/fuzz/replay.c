/*
 * replay - feeds every file of the directories named on the command line to a fuzz target.
 *
 * Each input is held in a block of exactly its size, so that a sanitizer sees the first byte read
 * beyond it. An empty or missing corpus is a failure: nothing would have been tested.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (file == NULL || fstat(fileno(file), &info) != 0) {
        perror(path);
        if (file != NULL)
            fclose(file);
        return 1;
    }
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    int failed = data == NULL || fread(data, 1, size, file) != size;
    fclose(file);
    if (failed)
        fprintf(stderr, "%s: cannot read\n", path);
    else
        LLVMFuzzerTestOneInput(data, size);
    free(data);
    return failed;
}

static int replay_directory(const char *path, int *replayed)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        perror(path);
        return 1;
    }
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        /* Last words where the target aborts. */
        fprintf(stderr, "replay %s\n", name);
        failed += replay_file(name);
        (*replayed)++;
    }
    closedir(directory);
    return failed;
}

int main(int count, char **arguments)
{
    int failed = 0;
    for (int i = 1; i < count; i++) {
        int replayed = 0;
        failed += replay_directory(arguments[i], &replayed);
        if (replayed == 0) {
            fprintf(stderr, "%s: the corpus holds no inputs\n", arguments[i]);
            failed++;
        }
    }
    return failed > 0 || count < 2;
}
