// Holds that a call keeps what Linux keeps: general registers, vector registers, MXCSR, flags, the red zone.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

static uint8_t before[16][32], after[16][32];

static int keeps_sse(long number, void *first, void *second) {
    for (int i = 0; i < 16; i++) memset(before[i], 0x11 + i, 32);
    long result = number;
    uint32_t control = 0x9f80, control_after = 0;
    __asm__ volatile(
        "ldmxcsr %[control]\n"
        "movdqu 0(%[b]), %%xmm0; movdqu 32(%[b]), %%xmm1; movdqu 224(%[b]), %%xmm7; movdqu 480(%[b]), %%xmm15\n"
        "movq $0x1234567, -16(%%rsp); std; stc\n"
        "syscall\n"
        "jnc 1f; cld\n"
        "cmpq $0x1234567, -16(%%rsp); jne 1f\n"
        "stmxcsr %[control_after]\n"
        "movdqu %%xmm0, 0(%[a]); movdqu %%xmm1, 32(%[a]); movdqu %%xmm7, 224(%[a]); movdqu %%xmm15, 480(%[a])\n"
        "1: cld\n"
        : "+a"(result), [control_after] "+m"(control_after)
        : [b] "r"(before), [a] "r"(after), "D"(first), "S"(second), [control] "m"(control)
        : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm7", "xmm15");
    int same = control == control_after;
    uint32_t usual = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(usual));
    const int tried[] = {0, 1, 7, 15};
    for (int i = 0; i < 4; i++) same &= !memcmp(before[tried[i]], after[tried[i]], 16);
    return same;
}

__attribute__((target("avx"))) static int keeps_avx(long number, void *first, void *second) {
    long result = number;
    __asm__ volatile(
        "vmovdqu 0(%[b]), %%ymm0; vmovdqu 256(%[b]), %%ymm8; vmovdqu 480(%[b]), %%ymm15\n"
        "syscall\n"
        "vmovdqu %%ymm0, 0(%[a]); vmovdqu %%ymm8, 256(%[a]); vmovdqu %%ymm15, 480(%[a]); vzeroupper\n"
        : "+a"(result)
        : [b] "r"(before), [a] "r"(after), "D"(first), "S"(second)
        : "rcx", "r11", "memory", "xmm0", "xmm8", "xmm15");
    return !memcmp(before[0], after[0], 32) && !memcmp(before[8], after[8], 32) && !memcmp(before[15], after[15], 32);
}

int main(void) {
    struct timespec time = {0, 3000000}, now;
    printf("sse over getpid: %d\n", keeps_sse(SYS_getpid, 0, 0));
    printf("sse over a clock: %d\n", keeps_sse(SYS_clock_gettime, (void *)1, &now));
    printf("sse over sleep: %d\n", keeps_sse(SYS_nanosleep, &time, 0));
    int has_avx = __builtin_cpu_supports("avx");
    printf("avx over a clock: %d\n", !has_avx || keeps_avx(SYS_clock_gettime, (void *)1, &now));
    printf("avx over sleep: %d\n", !has_avx || keeps_avx(SYS_nanosleep, &time, 0));
    return 0;
}
