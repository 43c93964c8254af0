/* errand-probes list | run NAME ARGUMENTS.. | plant .. | neighbour .. | facts */
#include "probes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_SECONDS 40

static const struct topic groups[] = {
  {"files", files_probes},     {"processes", process_probes}, {"kernel", kernel_probes},
  {"network", network_probes}, {"resources", resource_probes},
};
#define GROUPS (sizeof groups / sizeof *groups)

static _Noreturn void say(const char *verdict, int status, const char *format, va_list arguments) {
  printf("errand-probe: %s ", verdict);
  vprintf(format, arguments);
  putchar('\n');
  fflush(stdout);
  _exit(status);
}

#define VERDICT(name, status)             \
  _Noreturn void name(const char *format, ...) { \
    va_list arguments;                    \
    va_start(arguments, format);          \
    say(#name, status, format, arguments); \
  }
VERDICT(hit, 0)
VERDICT(held, 1)
VERDICT(absent, 2)

_Noreturn void held_at(const char *what) { held("%s: %s", what, errno ? strerror(errno) : "it is not there"); }

ssize_t read_rest(int fd, char *text, size_t room) {
  size_t length = 0;
  for (ssize_t got; length < room - 1; length += (size_t)got) {
    got = read(fd, text + length, room - 1 - length);
    if (got < 0 && length == 0) return -1;
    if (got <= 0) break;
  }
  text[length] = 0;
  return (ssize_t)length;
}

ssize_t read_whole(const char *path, char *text, size_t room) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  ssize_t length = read_rest(fd, text, room);
  int error = errno;
  close(fd);
  errno = error;
  return length;
}

int has_token(const char *bytes, size_t length, const char *token) {
  return *token && memmem(bytes, length, token, strlen(token)) != NULL;
}

void hit_if_file_has(const char *path, const char *token) {
  static char text[1 << 16];
  ssize_t length = read_whole(path, text, sizeof text);
  if (length >= 0 && has_token(text, (size_t)length, token)) hit("read %s", path);
  if (length >= 0) errno = 0;
}

int is_the_hosts(int fd, const char *identity) {
  struct stat about;
  char text[64];
  if (fstat(fd, &about)) return 0;
  snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)about.st_dev, (unsigned long long)about.st_ino);
  return strcmp(text, identity) == 0;
}

void hit_if_opens_for_writing(const char *path) {
  int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return;
  close(fd);
  hit("%s opens for writing (nothing was written)", path);
}

void each_process(void (*look)(pid_t pid, void *with), void *with) {
  DIR *proc = opendir("/proc");
  for (struct dirent *entry; proc && (entry = readdir(proc));)
    if (isdigit((unsigned char)*entry->d_name) && atoi(entry->d_name) != getpid()) look(atoi(entry->d_name), with);
  if (proc) closedir(proc);
}

int in_child(int (*run)(void *with), void *with) {
  pid_t pid = fork();
  if (pid < 0) return 255;
  if (pid == 0) _exit(run(with));
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return 255;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int list(void) {
  for (size_t g = 0; g < GROUPS; g++)
    for (const struct probe *p = groups[g].probes; p->name; p++)
      printf("{\"name\":\"%s\",\"group\":\"%s\",\"severity\":\"%s\",\"tries\":\"%s\"}\n", p->name, groups[g].name, p->severity, p->tries);
  return 0;
}

static void out_of_patience(int signal) {
  static const char text[] = "errand-probe: held it had no answer in time\n";
  (void)signal;
  ssize_t written = write(STDOUT_FILENO, text, sizeof text - 1);
  _exit(written < 0 ? 3 : 1);
}

/* A secret comes backwards, so that it is not found in the arguments of whatever wall stands around the probe. */
static void turn_secrets(int argc, char **argv) {
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "secret:", 7)) continue;
    argv[i] += 7;
    for (size_t low = 0, high = strlen(argv[i]); low + 1 < high; low++) {
      char last = argv[i][--high];
      argv[i][high] = argv[i][low];
      argv[i][low] = last;
    }
  }
}

static int run(const char *name, int argc, char **argv) {
  for (size_t g = 0; g < GROUPS; g++)
    for (const struct probe *p = groups[g].probes; p->name; p++) {
      if (strcmp(p->name, name)) continue;
      if (argc < p->arguments) {
        fprintf(stderr, "errand-probes: %s needs %d arguments\n", name, p->arguments);
        return 64;
      }
      /* Tells a wall that let the probe begin from one that could not even be built. */
      printf("errand-probe: begins %s\n", name);
      fflush(stdout);
      signal(SIGALRM, out_of_patience);
      signal(SIGPIPE, SIG_IGN);
      alarm(PATIENCE_SECONDS);
      turn_secrets(argc, argv);
      p->run(argc, argv);
      held("it found no way");
    }
  fprintf(stderr, "errand-probes: there is no probe %s\n", name);
  return 64;
}

int main(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "";
  if (!strcmp(verb, "list")) return list();
  if (!strcmp(verb, "facts")) return facts();
  if (!strcmp(verb, "run") && argc > 2) return run(argv[2], argc - 3, argv + 3);
  if (!strcmp(verb, "plant")) return plant(argc - 2, argv + 2);
  if (!strcmp(verb, "neighbour")) return neighbour(argc - 2, argv + 2);
  fprintf(stderr, "usage: errand-probes list | run NAME ARGUMENTS.. | facts\n");
  return 64;
}
