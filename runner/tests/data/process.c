/* A guest that runs as a Linux process, for the runner's tests alone: linked where guests lie, it finds what the runner
 * gives every hosted guest and speaks the records of the control channel. BEHAVIOUR is one of the functions below. */

typedef unsigned long word;

static long call(long number, word a, word b, word c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

#define READ 0
#define WRITE 1
#define PAUSE 34
#define EXIT 231

static word length(const char *text)
{
    word count = 0;
    while (text[count])
        count++;
    return count;
}

static void print(const char *text)
{
    call(WRITE, 1, (word)text, length(text));
}

static void line(const char *label, const char *text)
{
    print(label);
    print(text);
    print("\n");
}

/* RecordHeader: magic, kind, length, reserved. */
static void record(unsigned kind, const void *payload, unsigned size)
{
    unsigned header[4];
    __builtin_memcpy(header, "mOS1", 4);
    header[1] = kind;
    header[2] = size;
    header[3] = 0;
    call(WRITE, 3, (word)header, sizeof header);
    if (size)
        call(WRITE, 3, (word)payload, size);
}

static void leave(unsigned char status)
{
    record(1, &status, 1);
    call(EXIT, status, 0, 0);
}

static char **arguments, **variables;

static void exit_200(void)
{
    leave(200);
}

static void echo(void)
{
    char byte;
    while (call(READ, 0, (word)&byte, 1) == 1) {
        call(WRITE, 1, (word)&byte, 1);
        if (byte == '\n')
            leave(7);
    }
}

static void stop(void)
{
    char byte;
    if (call(READ, 3, (word)&byte, 1) == 1 && byte == 'S')
        leave(130);
}

static void words(void)
{
    for (char **word = arguments; *word; word++)
        line("argument ", *word);
    for (char **word = variables; *word; word++)
        line("variable ", *word);
    leave(0);
}

/* Prints the numbers of the open files, by asking for each (fcntl, F_GETFD). */
static void files(void)
{
    for (int number = 0; number < 1024; number++)
        if (call(72, number, 1, 0) >= 0) {
            char digits[] = { '0' + number / 1000, '0' + number / 100 % 10, '0' + number / 10 % 10, '0' + number % 10, 0 };
            line("open ", digits);
        }
    leave(0);
}

static void hang(void)
{
    for (;;)
        call(PAUSE, 0, 0, 0);
}

static void silent(void)
{
    const char *words = "it went wrong\n";
    call(WRITE, 2, (word)words, length(words));
    call(EXIT, 3, 0, 0);
}

static void fault(void)
{
    *(volatile int *)8 = 1;
}

void main_(word *stack)
{
    arguments = (char **)(stack + 1);
    variables = arguments + stack[0] + 1;
    record(3, 0, 0);
    print("hello from the process\n");
    BEHAVIOUR();
    call(EXIT, 99, 0, 0);
}

__asm__(".globl start\nstart: mov %rsp, %rdi\nand $-16, %rsp\ncall main_\n");
