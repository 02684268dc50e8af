// Makes calls that are not there and goes on.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    const long unknown[] = {57, 425, 9999, -1, 1L << 40};
    for (unsigned i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        long result = syscall(unknown[i], 1, 2, 3, 4, 5, 6);
        printf("%ld %s\n", result, errno == ENOSYS ? "ENOSYS" : "another error");
    }
    return 0;
}
