// Writes to an address that is not there, in a function with a name.
#include <stdio.h>

__attribute__((noinline)) void write_to_nowhere(volatile int *place) { *place = 1; }

int main(int argc, char **argv) {
    (void)argv;
    puts("before");
    write_to_nowhere((volatile int *)(0x20000UL * (unsigned long)argc));
    return 0;
}
