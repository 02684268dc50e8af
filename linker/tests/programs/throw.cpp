// Exceptions that land in several places, also from under a call.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <unistd.h>

static long check(long value) {
    if (value % 3 == 0) throw std::runtime_error("three " + std::to_string(value));
    if (value % 5 == 0) throw value;
    return value + (getppid() > 0);
}

int main() {
    long sum = 0;
    for (long i = 1; i < 30; i++) {
        try {
            sum += check(i);
        } catch (const std::exception &error) {
            printf("%s\n", error.what());
        } catch (long value) {
            printf("long %ld\n", value);
        }
    }
    printf("sum %ld\n", sum);
}
