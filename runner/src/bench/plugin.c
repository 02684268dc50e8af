/* Counts the instructions that a guest executes, inside QEMU.
 *
 * A plugin of QEMU's translator: every block of translated code adds its length to a counter as it runs, by code that
 * QEMU generates in line, so that counting costs a few host instructions a block and changes nothing that the guest
 * sees. The counters are asked for over a unix socket, in text, so that nothing polls while a load is measured:
 *
 *     c   one line: instructions executed at addresses of the lower half, and of the upper half
 *     p   one line a block: times executed, address, sizes of its instructions in bytes; then an empty line
 *
 * Arguments: socket=PATH, and blocks=on for `p`. The declarations are written from the documentation of the interface
 * (QEMU manual, "QEMU TCG Plugins", interface version 2 and later); the names and layouts are QEMU's.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What is used of QEMU's interface. */

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
struct scoreboard_entry {
    struct qemu_plugin_scoreboard *score;
    size_t offset;
};
enum inline_operation { ADD = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *, enum inline_operation,
                                                       struct scoreboard_entry, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t);
void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *, unsigned);
int qemu_plugin_num_vcpus(void);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int qemu_plugin_version = 2;

/* Counters of one CPU. In the last block all are counted that find no other place. */

enum { MOST_BLOCKS = 1 << 18, TABLE_SIZE = MOST_BLOCKS * 2 };

struct counters {
    uint64_t lower_half;
    uint64_t upper_half;
    uint64_t executions[];
};

struct block {
    uint64_t address;
    uint32_t length;
    uint8_t *sizes;
};

static struct qemu_plugin_scoreboard *counters;
static int listener;

/* Blocks are translated again and again; a block is known by its address and length. */
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;
static uint32_t *table;
static uint32_t block_count;

static uint32_t add_block(const struct qemu_plugin_tb *translated, uint64_t address, uint32_t length)
{
    uint8_t *sizes = malloc(length);
    if (!sizes || block_count == MOST_BLOCKS - 1) {
        free(sizes);
        return MOST_BLOCKS - 1;
    }
    for (uint32_t i = 0; i < length; i++)
        sizes[i] = (uint8_t)qemu_plugin_insn_size(qemu_plugin_tb_get_insn(translated, i));
    blocks[block_count] = (struct block){ address, length, sizes };
    return block_count++;
}

/* The table holds indices plus one; it is at most half full, so a search ends. */
static uint32_t find_block(const struct qemu_plugin_tb *translated, uint64_t address, uint32_t length)
{
    uint64_t hash = (address * 31 + length) * 0x9e3779b97f4a7c15u;
    uint32_t place = (uint32_t)(hash >> 32) % TABLE_SIZE;
    for (; table[place]; place = (place + 1) % TABLE_SIZE) {
        const struct block *known = &blocks[table[place] - 1];
        if (known->address == address && known->length == length)
            return table[place] - 1;
    }
    uint32_t index = add_block(translated, address, length);
    if (index < MOST_BLOCKS - 1)
        table[place] = index + 1;
    return index;
}

static void count(struct qemu_plugin_tb *translated, size_t offset, uint64_t amount)
{
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(translated, ADD, (struct scoreboard_entry){ counters, offset },
                                                      amount);
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *translated)
{
    (void)id;
    uint64_t address = qemu_plugin_tb_vaddr(translated);
    size_t length = qemu_plugin_tb_n_insns(translated);
    int is_upper = address >> 63;
    count(translated, is_upper ? offsetof(struct counters, upper_half) : offsetof(struct counters, lower_half), length);
    if (!blocks)
        return;
    pthread_mutex_lock(&blocks_lock);
    uint32_t index = find_block(translated, address, (uint32_t)length);
    pthread_mutex_unlock(&blocks_lock);
    count(translated, offsetof(struct counters, executions) + index * sizeof(uint64_t), 1);
}

static uint64_t sum(size_t offset)
{
    uint64_t total = 0;
    for (int cpu = 0; cpu < qemu_plugin_num_vcpus(); cpu++) {
        const char *own = qemu_plugin_scoreboard_find(counters, (unsigned)cpu);
        total += *(const volatile uint64_t *)(own + offset);
    }
    return total;
}

static void print_block(FILE *output, uint32_t index)
{
    uint64_t executions = sum(offsetof(struct counters, executions) + index * sizeof(uint64_t));
    if (!executions)
        return;
    fprintf(output, "%llu %llx", (unsigned long long)executions, (unsigned long long)blocks[index].address);
    for (uint32_t i = 0; i < blocks[index].length; i++)
        fprintf(output, " %u", blocks[index].sizes[i]);
    fputc('\n', output);
}

static void print_blocks(FILE *output)
{
    pthread_mutex_lock(&blocks_lock);
    uint32_t known = block_count;
    pthread_mutex_unlock(&blocks_lock);
    /* What is known does not change any more. */
    for (uint32_t i = 0; i < known; i++)
        print_block(output, i);
    fputc('\n', output);
}

static void answer(int connection)
{
    FILE *output = fdopen(dup(connection), "w");
    char request;
    while (output && !ferror(output) && read(connection, &request, 1) == 1) {
        if (request == 'c')
            fprintf(output, "%llu %llu\n", (unsigned long long)sum(offsetof(struct counters, lower_half)),
                    (unsigned long long)sum(offsetof(struct counters, upper_half)));
        else if (request == 'p')
            print_blocks(output);
        fflush(output);
    }
    if (output)
        fclose(output);
    close(connection);
}

static void *serve(void *nothing)
{
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            return nothing;
        answer(connection);
    }
}

/* QEMU's own signals are for its own threads; a client that goes away is no reason to end. */
static int start_thread(void)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int refused = pthread_create(&thread, NULL, serve, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!refused)
        pthread_setname_np(thread, "counters");
    return refused;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path, path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4))
        return -1;
    return start_thread();
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *information, int argc, char **argv)
{
    (void)information;
    const char *path = NULL;
    int with_blocks = 0;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "socket=", 7))
            path = argv[i] + 7;
        else if (!strcmp(argv[i], "blocks=on"))
            with_blocks = 1;
    }
    if (with_blocks) {
        blocks = calloc(MOST_BLOCKS, sizeof *blocks);
        table = calloc(TABLE_SIZE, sizeof *table);
    }
    counters = qemu_plugin_scoreboard_new(sizeof(struct counters) + (with_blocks ? MOST_BLOCKS * sizeof(uint64_t) : 0));
    if (!path || !counters || (with_blocks && (!blocks || !table)) || listen_at(path)) {
        fprintf(stderr, "counter plugin: it needs socket=PATH, a path of at most 107 bytes where no file is\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
