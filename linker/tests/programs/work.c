/* Work that passes through many calls, with the same output at every run. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int sum, finished;

static void *add(void *step) {
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        sum += (int)(long)step;
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    finished++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv) {
    printf("%d %s %.6f\n", argc, argc > 1 ? argv[1] : "-", 355.0 / 113.0);
    char path[] = "/tmp/metaos-work-XXXXXX", text[16] = {0};
    int file = mkstemp(path);
    struct iovec parts[2] = {{"hello ", 6}, {"files", 5}};
    printf("writev %zd\n", writev(file, parts, 2));
    printf("lseek %ld ", (long)lseek(file, 0, SEEK_SET));
    printf("pread %zd ", pread(file, text, 11, 0));
    struct stat state;
    printf("%s fstat %d ", text, fstat(file, &state));
    printf("%ld unlink %d\n", (long)state.st_size, unlink(path));
    int missing = open(path, O_RDONLY);
    printf("open %d %s\n", missing, strerror(errno));
    char *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map, 7, 1 << 20);
    printf("map %d mprotect %d ", map[4097], mprotect(map, 4096, PROT_READ));
    printf("munmap %d\n", munmap(map, 1 << 20));
    int pipes[2], pair[2];
    printf("pipe %d socketpair %d\n", pipe(pipes), socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pthread_t threads[8];
    for (long i = 0; i < 8; i++) pthread_create(&threads[i], NULL, add, (void *)(i + 1));
    pthread_mutex_lock(&lock);
    while (finished < 8) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    printf("threads %d\n", sum);
    struct pollfd ready = {pipes[0], POLLIN, 0};
    printf("poll %d ", poll(&ready, 1, 1));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dprintf(pipes[1], "child");
        _exit(7);
    }
    int status;
    waitpid(child, &status, 0);
    memset(text, 0, sizeof text);
    ssize_t count = read(pipes[0], text, 15);
    printf("read %zd %s status %d poll %d\n", count, text, WEXITSTATUS(status), poll(&ready, 1, 1));
    struct timespec nap = {0, 1000000};
    printf("nap %d kill %d send %zd\n", nanosleep(&nap, NULL), kill(getpid(), 0), send(pair[0], "x", 1, MSG_NOSIGNAL));
    void *blocks[100];
    for (int i = 0; i < 100; i++) blocks[i] = malloc((size_t)i * 4096);
    for (int i = 0; i < 100; i++) free(blocks[i]);
    return 3;
}
