/*
 * Probes: what a hostile command would try, each as a small program that says how it went. They are meant for a person's own
 * machine: what they do leaves no trace, is bounded, and stops at the door (opened for writing, never written) where going
 * through it would do harm. README.md beside this file tells more.
 */
#ifndef ERRAND_PROBES_H
#define ERRAND_PROBES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** What a hit means, after gVisor's severities: from code on the host down to a host that is merely slow. */
#define ESCAPE "escape"
#define HOST_LEAK "host-leak"
#define LATERAL "lateral"
#define DENIAL "denial"
/* A wall of the second line is missing; alone it lets nothing through. */
#define EXPOSURE "exposure"

struct probe {
  const char *name, *severity;
  const char *tries; /* one line for people: what a command would gain */
  void (*run)(int argc, char **argv);
  int arguments; /* at least so many */
};

struct topic {
  const char *name;
  const struct probe *probes; /* the last has no name */
};

extern const struct probe files_probes[], process_probes[], kernel_probes[], network_probes[], resource_probes[];

/* How a probe ends: each prints one line and exits, with 0, 1 and 2. In the process that began, not in its children. */
_Noreturn void hit(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void held(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void absent(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Held, with errno's words. */
_Noreturn void held_at(const char *what);

/** Reads what is there now, of files whose size says nothing too. -1 with errno, or the bytes; the text is ended by 0. */
ssize_t read_whole(const char *path, char *text, size_t room);
/** As read_whole, of a descriptor from its place on. */
ssize_t read_rest(int fd, char *text, size_t room);
/** Whether the token stands in these bytes. */
int has_token(const char *bytes, size_t length, const char *token);
/** The token in a file: hits and does not return, or comes back with errno of the try (0: it was read and not there). */
void hit_if_file_has(const char *path, const char *token);
/** Whether a path names the file that the host meant: a private copy of it is no prey. "DEVICE:INODE" */
int is_the_hosts(int fd, const char *identity);
/** Hits when the path opens for writing and is the host's. Writes nothing. Else errno is set. */
void hit_if_opens_for_writing(const char *path);
/** Calls back with each process that can be seen, other than this one. */
void each_process(void (*look)(pid_t pid, void *with), void *with);
/** Runs it in a child; its exit status, or 128 + the signal's number. */
int in_child(int (*run)(void *with), void *with);

/* The roles beside the probes: run until their input ends. */
int plant(int argc, char **argv);
int neighbour(int argc, char **argv);
int facts(void);

#endif
