// Repeats what is typed, line by line, until the input ends.
#include <stdio.h>

int main(void) {
    char line[256];
    printf("? ");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) printf("> %s", line);
    puts("end");
    return 3;
}
