/*
 * Boxes: single-use sandboxes, prepared ahead of need.
 *
 * A pool keeps some boxes parked: processes that already stand behind all their walls and wait for one
 * command. Nothing here blocks the caller, box_pool_open and box_pool_close aside: boxes are made by other
 * processes. README.md beside this file tells what the walls are, and what they are not.
 *
 *     int main(int argc, char **argv) {
 *       box_maker_main(argc, argv);            // first of all: a pool starts this program again
 *       struct box_config config = box_defaults();
 *       struct box_report report;
 *       struct box_pool *pool = box_pool_open(&config, &report);
 *       if (!pool) refuse(report.code, report.text, report.advice);
 *       ... add box_pool_fd(pool) to epoll; when readable, call box_pool_next until it answers 0
 *     }
 */
#ifndef ERRAND_BOX_H
#define ERRAND_BOX_H

#include <stdint.h>
#include <sys/types.h>

#define BOX_MAX_SLOTS 512
#define BOX_MAX_READABLE 8
#define BOX_PATH_BYTES 256

/** What all boxes of a pool have in common. Start from box_defaults(). */
struct box_config {
  uint32_t slots;        /* the most boxes that exist at a time, parked ones included */
  uint32_t ready;        /* how many are kept parked, ahead of need */
  uint64_t disk_bytes;   /* of /work, and again of /tmp (where /dev/shm is) */
  uint64_t disk_files;   /* files and folders in each of them */
  uint32_t first_uid;    /* started by root: box n runs as host user first_uid + n, who must own nothing */
  uint32_t host_network; /* 1: boxes share the host's network, all of it. An operator's decision, never a caller's */
  struct {
    char host[BOX_PATH_BYTES]; /* more folders of the host to show, read-only: "/opt/node" */
    char box[BOX_PATH_BYTES];  /* where boxes see it; empty: at the same place. Not below /tmp, /work, /proc, /dev */
  } readable[BOX_MAX_READABLE];
};

/** What one command may use. Zero: the pool has nothing to say, and the limit of the starter stays. */
struct box_limits {
  uint64_t memory_bytes; /* of the whole box, its files in /work and /tmp included */
  uint32_t processes;    /* threads count too */
  uint32_t cpu_percent;  /* 100 is one core */
  uint32_t open_files;
  uint64_t file_bytes;   /* the longest file it may write */
  uint64_t cpu_seconds;  /* of each process */
};

struct box_spec {
  char *const *argv; /* argv[0] is looked up in the PATH of envp where it has no slash */
  char *const *envp; /* all that the command sees */
  const char *cwd;   /* inside the box; NULL is /work */
  struct box_limits limits;
  int stdin_fd, stdout_fd, stderr_fd; /* stay the caller's; -1 is /dev/null */
};

enum box_code {
  BOX_OK = 0,
  BOX_NO_USER_NAMESPACES,
  BOX_NO_NAMESPACES,
  BOX_NO_MOUNTS,
  BOX_NO_PROC,
  BOX_NO_SECCOMP,
  BOX_NO_LIMITS,
  BOX_NO_NETWORK_NAMESPACES,
  BOX_OLD_KERNEL,
  BOX_BROKEN,
};

/** What a command that could not start failed at. */
enum box_stage {
  BOX_STAGE_NONE = 0,
  BOX_STAGE_REQUEST,
  BOX_STAGE_FOLDER,
  BOX_STAGE_LIMITS,
  BOX_STAGE_PROGRAM,     /* not found, or not to be executed */
  BOX_STAGE_INTERPRETER, /* the program is there; what its first line names is not */
};

/** What this machine gives, or why it gives no box. */
struct box_report {
  uint32_t code;          /* enum box_code */
  uint32_t error;         /* the errno behind it */
  uint32_t cgroups;       /* 1 or 2; 0: memory and processor are watched by the box itself (watch.c): weaker */
  uint32_t landlock;      /* its ABI; 0: the kernel has none, and the other walls stand alone */
  uint32_t as_root;       /* 1: started by root; boxes still are not */
  char name[40];          /* "no-user-namespaces": stable, for programs */
  char text[200];         /* for people */
  char advice[240];       /* what to install or set */
};

enum box_event_kind {
  BOX_READY = 1, /* one more box is parked */
  BOX_EXITED,    /* the command has ended; what it left running is being killed */
  BOX_GONE,      /* nothing of the box is left: no process, mount, or socket */
  BOX_FAILED,    /* no box could be prepared in this slot; error says why; tried again */
};

struct box_event {
  uint32_t kind;
  uint32_t box;         /* the same number for all events of one command */
  uint64_t generation;  /* and this tells apart the boxes that had the number */
  /* Of BOX_EXITED: */
  uint32_t lost;        /* 1: the whole box was killed from outside, by us or for memory */
  uint32_t out_of_memory;
  uint32_t exit_code;   /* 126, 127: as a shell has it, with start_error set */
  uint32_t signal;      /* or 0 */
  uint32_t start_error; /* errno of a command that could not start */
  uint32_t start_stage; /* enum box_stage */
  uint64_t user_us, system_us;
  uint64_t max_rss_kib;
};

struct box_pool;

struct box_config box_defaults(void);

/** Returns at once unless this process was started as a pool's maker, and then never. */
void box_maker_main(int argc, char **argv);

/** Starts a pool, tries one box in earnest, and answers NULL with the reason where the machine has none to give. */
struct box_pool *box_pool_open(const struct box_config *config, struct box_report *report);

/** Readable when box_pool_next has something to tell. */
int box_pool_fd(const struct box_pool *pool);

/** 1 and an event, or 0: no more for now. -1: the maker died, no box comes any more. */
int box_pool_next(struct box_pool *pool, struct box_event *event);

/** How many boxes are parked. */
uint32_t box_pool_ready(const struct box_pool *pool);

/** How many are to be parked from now on. More of them are begun while all that there are hold commands. */
void box_pool_want(struct box_pool *pool, uint32_t ready);

/** The process that makes boxes, a child of ours. */
pid_t box_pool_maker(const struct box_pool *pool);

/** A parked box, now the caller's; or -1: none is ready, wait for BOX_READY. */
int box_take(struct box_pool *pool);

/** Runs a command in a box that was taken. 0; or an errno, and then the box is spent and BOX_GONE will come. */
int box_execute(struct box_pool *pool, int box, const struct box_spec *spec);

/** Signals the command's process group; SIGKILL kills all that is in the box. Harmless after the end. */
int box_kill(struct box_pool *pool, int box, int signal);

/** Has all that is in the box hear TERM. What outlives the command then lives on until it ends, or SIGKILL comes. */
int box_stop(struct box_pool *pool, int box);

/** Kills all boxes, waits until nothing of them is left, and frees the pool. */
void box_pool_close(struct box_pool *pool);

/** The same without waiting: the maker ends when all boxes have, and is left to be waited for. */
void box_pool_leave(struct box_pool *pool);

#endif
