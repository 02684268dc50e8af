// Prints its arguments and a variable, works with floating point and the heap, and ends with its last argument.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    printf("Hello from C.\n");
    for (int i = 1; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
    const char *greeting = getenv("GREETING");
    printf("GREETING=%s\n", greeting ? greeting : "(none)");
    double sum = 0;
    for (int i = 0; i < 10; i++) sum += i * 0.5;
    char *bytes = malloc(1 << 20);
    memset(bytes, 7, 1 << 20);
    bytes = realloc(bytes, 3 << 20);
    printf("%.2f %d\n", sum, bytes[(1 << 20) - 1]);
    free(bytes);
    return argc > 1 ? atoi(argv[argc - 1]) : 0;
}
