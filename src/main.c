#include <stdio.h>

int main(void)
{
    puts("metric-store " METRIC_STORE_VERSION);
    return 0;
}
