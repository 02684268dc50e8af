# A guest that never runs: functions whose stack frames the test lays out by hand, to be walked and named.

    .globl start, outer, middle, inner, after_outer, after_middle, after_inner
    .globl metaos_gate_syscall, after_gate, after_syscall, after_interrupt
    .globl privileged, expression, interrupted, handler, endless, constant

    .text

# The outermost frame: there is nothing to return to.
    .type start, @function
start:
    .cfi_startproc
    .cfi_undefined rip
    call outer
after_outer:
    ud2
    .cfi_endproc
    .size start, . - start

# 24 bytes of locals.
    .type outer, @function
outer:
    .cfi_startproc
    sub $24, %rsp
    .cfi_def_cfa_offset 32
    call middle
after_middle:
    add $24, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size outer, . - outer

# Saves rbp and uses it to find its frame.
    .type middle, @function
middle:
    .cfi_startproc
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register rbp
    call inner
after_inner:
    pop %rbp
    .cfi_def_cfa rsp, 8
    ret
    .cfi_endproc
    .size middle, . - middle

# No frame at all.
    .type inner, @function
inner:
    .cfi_startproc
    movl $1, (%rax)
    ret
    .cfi_endproc
    .size inner, . - inner

    .type privileged, @function
privileged:
    .cfi_startproc
    hlt
    ret
    .cfi_endproc
    .size privileged, . - privileged

# Its frame address is an expression: what lies at rsp (DW_OP_breg7 0, DW_OP_deref).
    .type expression, @function
expression:
    .cfi_startproc
    .cfi_escape 0x0f, 3, 0x77, 0, 0x06
    ud2
    .cfi_endproc
    .size expression, . - expression

# Was interrupted at its first instruction by `handler`, which finds rip and rsp where an interrupt puts them.
    .type interrupted, @function
interrupted:
    .cfi_startproc
    ud2
    .cfi_endproc
    .size interrupted, . - interrupted

    .type handler, @function
handler:
    .cfi_startproc
    .cfi_signal_frame
    .cfi_def_cfa rsp, 0
    .cfi_offset rip, 0
    .cfi_escape 0x10, 7, 2, 0x77, 24 /* rsp lies at rsp + 24 */
    ud2
    .cfi_endproc
    .size handler, . - handler

# Claims to be its own caller for ever.
    .type endless, @function
endless:
    .cfi_startproc
    .cfi_def_cfa rsp, 0
    .cfi_offset rip, 0
    nop
    ud2
    .cfi_endproc
    .size endless, . - endless

# The gate of a guest, and ways around it.
    .type machine_call, @function
machine_call:
    .cfi_startproc
metaos_gate_syscall:
    syscall
after_gate:
    ret
    .cfi_endproc

    .type other_calls, @function
other_calls:
    .cfi_startproc
    syscall
after_syscall:
    int $0x80
after_interrupt:
    ret
    .cfi_endproc
    .size other_calls, . - other_calls

    .section .rodata
    .balign 4096
    .type constant, @object
constant:
    .quad 1
    .size constant, . - constant
