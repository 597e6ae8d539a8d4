#include "os/os.h"

struct os os_system(void)
{
    return (struct os){
        .fs = filesystem_posix(),
        .clock = clock_system(),
        .random = random_system(),
        .threads = threads_posix(),
    };
}
