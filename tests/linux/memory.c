// Maps, protects, moves and unmaps memory, and holds what Linux promises of it.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHECK(what) do { if (!(what)) { printf("line %d: %s, errno %d\n", __LINE__, #what, errno); failed = 1; } } while (0)

int main(void) {
    int failed = 0;
    const size_t page = 4096;
    char *p = mmap(0, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && p[8 * page - 1] == 0);
    memset(p, 5, 8 * page);
    CHECK(munmap(p + 2 * page, page) == 0);
    CHECK(write(1, p + 2 * page, 1) == -1 && errno == EFAULT);
    CHECK(mprotect(p + 4 * page, page, PROT_READ) == 0);
    CHECK(syscall(SYS_uname, p + 4 * page) == -1 && errno == EFAULT);
    CHECK(mprotect(p, 4 * page, PROT_READ) == -1 && errno == ENOMEM);
    CHECK(mprotect(p + 5 * page, page, PROT_NONE) == 0);
    CHECK(mprotect(p + 5 * page, page, PROT_READ | PROT_WRITE) == 0 && p[5 * page] == 5);
    CHECK(madvise(p + 5 * page, page, MADV_DONTNEED) == 0 && p[5 * page] == 0 && p[6 * page] == 5);
    CHECK(mprotect(p, page, PROT_READ | PROT_WRITE | PROT_EXEC) == -1 && errno == EACCES);
    char *q = mmap(p + 2 * page, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(q == p + 2 * page && *q == 0);
    CHECK(mmap(p, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    char *big = mmap(0, 1UL << 32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(big != MAP_FAILED && mprotect(big + (1 << 30), page, PROT_READ | PROT_WRITE) == 0);
    big[1 << 30] = 1;
    CHECK(munmap(big, 1UL << 32) == 0);
    char *r = mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(r + page, "moved");
    r = mremap(r, 2 * page, 64 * page, MREMAP_MAYMOVE);
    CHECK(r != MAP_FAILED && !strcmp(r + page, "moved") && r[63 * page] == 0);
    CHECK(mremap(r, 64 * page, page, 0) == r);
    CHECK(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    char *start = sbrk(0);
    CHECK(sbrk(100 * page) == start && start[100 * page - 1] == 0);
    start[0] = 1;
    CHECK(sbrk(-100 * (long)page) == start + 100 * page && sbrk(0) == start);
    puts(failed ? "failed" : "memory is as Linux has it");
    return failed;
}
