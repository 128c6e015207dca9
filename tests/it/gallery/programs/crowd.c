/* Hostile programs that are many: `crowd MODE NOTES`. Each process of them ends after a minute. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *notes;

/* Writes down who this process is: pid, start, group, session. */
static void note(void) {
    alarm(60);
    char text[4096], line[128];
    int file = open("/proc/self/stat", O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    text[length < 0 ? 0 : length] = 0;
    char *word = strrchr(text, ')');
    if (!word) exit(70);
    unsigned long long start = 0;
    int field = 0;
    for (word = strtok(word + 2, " "); word; word = strtok(NULL, " "), field++)
        if (field == 19) start = strtoull(word, NULL, 10);
    length = snprintf(line, sizeof line, "%d %llu %d %d \n", getpid(), start, getpgrp(), getsid(0));
    file = open(notes, O_WRONLY | O_APPEND | O_CREAT, 0644);
    if (write(file, line, length) != length) exit(70);
    close(file);
}

static void ignore(void) {
    for (int number = 1; number < 32; number++)
        if (number != SIGALRM && number != SIGCHLD) signal(number, SIG_IGN);
}

static void stay(void) {
    for (;;) pause();
}

/* At most 2,000 living, at most 1,000 new ones a second. */
static void flood(void) {
    ignore();
    int living = 0;
    for (; living < 2000; usleep(1000)) {
        pid_t pid = fork();
        if (pid < 0) continue;
        if (pid == 0) {
            if (living % 2) setsid();
            note();
            stay();
        }
        living++;
    }
    stay();
}

/* Without a bound of its own but the limit of processes of its user; never as root. */
static void bomb(void) {
    struct rlimit limit;
    if (getuid() == 0 || getrlimit(RLIMIT_NPROC, &limit)) exit(77);
    if (limit.rlim_cur > 3000) limit.rlim_cur = limit.rlim_max = 3000;
    if (setrlimit(RLIMIT_NPROC, &limit)) exit(77);
    ignore();
    for (;;)
        if (fork() == 0) alarm(60);
        else usleep(100);
}

/* Children that exit and are never waited for. */
static void zombies(void) {
    for (int count = 0; count < 10000; count++) {
        pid_t pid = fork();
        if (pid == 0) _exit(0);
        if (pid < 0) break;
    }
    stay();
}

/* Four that leave their place to a child every few milliseconds, in another session each time. */
static void hop(void) {
    for (int count = 0; count < 4; count++) {
        if (fork()) continue;
        ignore();
        for (int hops = 0; hops < 10000; hops++) {
            if (fork()) _exit(0);
            alarm(60);
            setsid();
            usleep(4000);
        }
        _exit(0);
    }
    stay();
}

/* A parent that the kernel holds until its child is done, which it never is. */
static void held(void) {
    ignore();
    if (vfork() == 0) {
        alarm(60);
        stay();
    }
}

/* Becomes another program again and again. */
static void turn(char **words) {
    ignore();
    if (fork() == 0) {
        setsid();
        note();
    }
    words[1] = "again";
    execv("/proc/self/exe", words);
}

int main(int count, char **words) {
    if (count < 3) return 64;
    notes = words[2];
    const char *mode = words[1];
    if (!strcmp(mode, "again")) {
        /* The alarm of the first lasts. */
        usleep(500);
        execv("/proc/self/exe", words);
    }
    note();
    if (!strcmp(mode, "flood")) flood();
    if (!strcmp(mode, "bomb")) bomb();
    if (!strcmp(mode, "zombies")) zombies();
    if (!strcmp(mode, "hop")) hop();
    if (!strcmp(mode, "held")) held();
    if (!strcmp(mode, "turn")) turn(words);
    return 64;
}
