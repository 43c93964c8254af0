/* What the processes of a pool say to each other, and the pieces they are made of. Not for callers: see box.h. */
#ifndef ERRAND_BOX_WIRE_H
#define ERRAND_BOX_WIRE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "box.h"
#include <stddef.h>
#include <time.h>

/* The steps of making a box, told when one fails. */
enum step {
  STEP_NONE, STEP_USER_NAMESPACE, STEP_NAMESPACES, STEP_ROOT, STEP_PROC, STEP_SCRATCH, STEP_IDENTITY, STEP_LANDLOCK,
  STEP_SECCOMP, STEP_CGROUP, STEP_NETWORK, STEP_RLIMIT, STEP_CLONE,
};

/* Maker and launcher, on the channel that the maker is born with. */
enum { SAY_CONFIG = 100, SAY_OPENED, SAY_SLOT, SAY_MAKE };
/* Init, keeper and launcher, on the socket of a slot. */
enum { SAY_READY = 200, SAY_UNFIT, SAY_EXECUTE, SAY_KILL, SAY_STOP, SAY_EXITED, SAY_GONE };

/* Descriptors that come with SAY_SLOT, after the socket itself. */
enum { LIMIT_MEMORY, LIMIT_SWAP, LIMIT_PROCESSES, LIMIT_CPU, LIMIT_EVENTS, LIMIT_FDS };

struct opened { uint32_t kind; struct box_report report; };
struct slot_message { uint32_t kind, slot, present; /* bit n: LIMIT_n follows */ };

struct box_message {
  uint32_t kind, step, error, signal; /* of SAY_EXITED: step is enum box_stage */
  uint64_t generation;
  int32_t status; /* as wait(2) gives it */
  uint32_t start_error, out_of_memory, pad;
  uint64_t user_us, system_us, max_rss_kib;
};

#define INLINE_BYTES (48 * 1024)
struct execute {
  uint32_t kind, argc, envc, with_fds; /* bit 0..2: stdin.. come along; bit 3: so does a file with the strings */
  uint64_t generation;
  struct box_limits limits;
  uint32_t string_bytes, pad;
  char strings[INLINE_BYTES]; /* cwd, argv, envp: each ended by NUL */
};

/* --- pieces --- */

/* Facts about this maker that all its children share. */
struct maker {
  struct box_config config;
  struct box_report report;
  int proc;  /* the host's /proc: the private root has an empty one */
  int channel;
};
extern struct maker maker;

int root_build(void);                       /* root.c: 0 or errno; the process lives in the private root after */
int ipc_renew(void);                        /* ipc.c */
int ipc_is_as_new(void);

int scratch_mount(void);                    /* root.c: /proc and what may be written, in a box's own namespace */
void scratch_prepare(uid_t owner, gid_t group);
enum step scratch_failed_step(void);

void cgroups_find(void);                    /* cgroups.c: sets report.cgroups */
int cgroups_make(uint32_t slot, int limit_fds[LIMIT_FDS]);
int cgroups_join(uint32_t slot);
void cgroups_remove(uint32_t slot);
void cgroups_close(void);

int landlock_abi(void);                     /* landlock.c */
int landlock_restrict(void);

int seccomp_build(void);                    /* seccomp.c: once in the maker, 0 or errno */
int seccomp_load(void);

int network_renew(void);                    /* network.c: 0 or errno */
int network_is_as_new(void);

enum watched { WATCH_WELL, WATCH_OUT_OF_MEMORY };
void watch_begin(const struct box_limits *limits); /* watch.c */
int watch_wait(struct timespec *wait);      /* 0: nothing is watched */
enum watched watch_look(void);
void watch_resume(void);

void keeper_run(uint32_t slot, int socket) __attribute__((noreturn));   /* keeper.c */
void init_run(uint64_t generation, int socket, int users) __attribute__((noreturn)); /* init.c */

/* said.c */
void explain(struct box_report *report, enum step step, int error);

/* sockets.c */
ssize_t say(int socket, const void *message, size_t bytes, const int *fds, int count);
ssize_t hear(int socket, void *message, size_t bytes, int *fds, int *count, int flags);
int write_file_at(int folder, const char *path, const char *text);

#endif
