// Hands bad addresses to every call that takes one, and says which of them was not refused with EFAULT.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char constant[] = "constant";

static int failed;

static void expect(const char *what, long result) {
    if (result != -1 || errno != EFAULT) {
        printf("%s: result %ld, errno %d\n", what, result, errno);
        failed = 1;
    }
}

int main(void) {
    // Null, unmapped, the library OS's text, stack and heap, the nucleus, no address at all, one that wraps.
    const uint64_t bad[] = {1, 0x10000, 0x600000000000, 0x640000100000, 0x710000002000, 0x700000000000,
                            0xffffffff80000000, 0x8000000000000000, 0xffffffffffffffff};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *p = (void *)bad[i];
        expect("write", syscall(SYS_write, 1, p, 16));
        expect("writev", syscall(SYS_writev, 1, p, 1));
        expect("read", syscall(SYS_read, 0, p, 16));
        expect("uname", syscall(SYS_uname, p));
        expect("fstat", syscall(SYS_fstat, 1, p));
        expect("getrandom", syscall(SYS_getrandom, p, 16, 0));
        expect("clock_gettime", syscall(SYS_clock_gettime, 0, p));
        expect("nanosleep", syscall(SYS_nanosleep, p, 0));
        expect("rt_sigaction", syscall(SYS_rt_sigaction, 10, p, 0, 8));
        expect("rt_sigprocmask", syscall(SYS_rt_sigprocmask, 0, p, 0, 8));
        expect("prlimit64", syscall(SYS_prlimit64, 0, 7, 0, p));
        expect("readlink", syscall(SYS_readlink, p, p, 16));
        expect("openat", syscall(SYS_openat, -100, p, 0));
        expect("poll", syscall(SYS_poll, p, 1, 0));
        expect("ioctl", syscall(SYS_ioctl, 1, 0x5401, p));
        expect("sysinfo", syscall(SYS_sysinfo, p));
    }
    expect("uname to a constant", syscall(SYS_uname, constant));
    struct { const void *start; unsigned long length; } pieces[] = {{"x", 1}, {(void *)1, 1}};
    if (syscall(SYS_writev, 1, pieces, 2) != 1) failed = 1;
    puts(failed ? "" : "\nall refused");
    return failed;
}
