# A machine that behaves as the test asks: the smallest ELF that QEMU boots by PVH (32-bit protected mode, flat
# segments, paging off). No stack is used. Assembled with -DBEHAVIOUR=one of those below.

#define EXIT    1   /* prints, sends an EXIT record with status 200, ends */
#define ECHO    2   /* types back what is typed until a newline, exits with 7 */
#define STOP    3   /* prints, waits for a stop request, exits with 130 */
#define HANG    4   /* prints and never ends */
#define RESET   5   /* resets without a word */
#define CRASH   6   /* sends a CRASH record with 32 KiB of stack */
#define LINGER  7   /* sends an EXIT record and never ends */
#define PORT    8   /* ends by the exit port alone, with 42 */
#define NOISE   9   /* prints without end */

#define COM1    0x3f8
#define COM2    0x2f8
#define LINE    5       /* offset of the line status register */

    .section .note.pvh, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long start

    .code32
    .text
    .globl start

# Sends \count bytes at \from to \port; loses eax, ecx, edx, esi.
.macro send port, from, count
    mov $\from, %esi
    mov $\count, %ecx
1:  mov $\port + LINE, %dx
2:  in %dx, %al
    test $0x20, %al
    jz 2b
    mov $\port, %dx
    lodsb
    out %al, (%dx)
    loop 1b
.endm

# Waits for a byte from \port; result in al.
.macro receive port
    mov $\port + LINE, %dx
1:  in %dx, %al
    test $0x01, %al
    jz 1b
    mov $\port, %dx
    in %dx, %al
.endm

start:
#if BEHAVIOUR == EXIT || BEHAVIOUR == LINGER
    send COM1, greeting, greeting_end-greeting
    send COM2, status, status_end-status
#elif BEHAVIOUR == ECHO
    send COM1, greeting, greeting_end-greeting
    send COM2, ready, ready_end-ready
next:
    receive COM1
    mov $COM1, %dx
    out %al, (%dx)
    cmp $'\n', %al
    jne next
    movb $7, status_end - 1
    send COM2, status, status_end-status
#elif BEHAVIOUR == STOP
    send COM1, greeting, greeting_end-greeting
ask:
    receive COM2
    cmp $'S', %al
    jne ask
    movb $130, status_end - 1
    send COM2, status, status_end-status
#elif BEHAVIOUR == CRASH
    send COM1, greeting, greeting_end-greeting
    send COM2, crash, crash_end-crash
#elif BEHAVIOUR == RESET
    lidt nothing
    ud2
#elif BEHAVIOUR == NOISE
again:
    send COM1, greeting, greeting_end-greeting
    jmp again
#else
    send COM1, greeting, greeting_end-greeting
#endif

#if BEHAVIOUR != HANG && BEHAVIOUR != LINGER
    mov $0xf4, %dx
    mov $42, %eax
    out %eax, (%dx)
#endif
hang:
    hlt
    jmp hang

    .data
greeting:
    .ascii "hello from the machine\n"
greeting_end:
ready:
    .ascii "mOS1"
    .long 3, 0, 0
ready_end:
status:
    .ascii "mOS1"
    .long 1, 1, 0
    .byte 200
status_end:
nothing:
    .word 0
    .long 0
crash:
    .ascii "mOS1"
    .long 2, crash_end - crash_payload, 0
crash_payload:
    .long 1, 14             # a page fault in ring 3
    .quad 6, 0x8            # write, user; address
    .fill 16, 8, 0x1111
    .quad 0, 0x202          # rip, rflags
    .quad 0x710000008000    # stack
    .long text_end - text, 32768
text:
    .ascii "in thread worker-1"
text_end:
    .fill 32768, 1, 0xab
crash_end:
