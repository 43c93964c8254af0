#define _GNU_SOURCE
#include "faults.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *words(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *text = NULL;
  int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  return length < 0 ? NULL : text;
}

static const struct {
  int number;
  const char *name;
} error_names[] = {
    {EACCES, "EACCES"}, {EPERM, "EPERM"},     {ENOENT, "ENOENT"},   {ENOTDIR, "ENOTDIR"}, {ELOOP, "ELOOP"},
    {ENOSPC, "ENOSPC"}, {EDQUOT, "EDQUOT"},   {EROFS, "EROFS"},     {EMFILE, "EMFILE"},   {ENFILE, "ENFILE"},
    {ENOMEM, "ENOMEM"}, {EAGAIN, "EAGAIN"},   {EIO, "EIO"},         {EINVAL, "EINVAL"},   {ETXTBSY, "ETXTBSY"},
    {E2BIG, "E2BIG"},   {ENOEXEC, "ENOEXEC"}, {EISDIR, "EISDIR"},   {ELIBBAD, "ELIBBAD"}, {EEXIST, "EEXIST"},
    {EMLINK, "EMLINK"}, {ENXIO, "ENXIO"},     {ENODEV, "ENODEV"},   {ENAMETOOLONG, "ENAMETOOLONG"},
};

/* "EACCES: permission denied", as Node has it. */
static char *error_words(int number) {
  const char *name = "error";
  for (size_t n = 0; n < sizeof error_names / sizeof *error_names; n++) {
    if (error_names[n].number == number) name = error_names[n].name;
  }
  char *text = words("%s: %s", name, strerror(number));
  if (text) text[strlen(name) + 2] = (char)tolower((unsigned char)text[strlen(name) + 2]);
  return text;
}

static void not_executed(struct fault *fault, int exit_code, char *detail) {
  *fault = (struct fault){.exit_code = exit_code, .detail = detail};
}

static void folder_words(const char *path, const char *problem, struct fault *fault) {
  not_executed(
      fault, 126,
      words("The folder %s cannot be worked in: %s. Give one that exists as cwd, or none.", path, problem));
}

static void folder_error(const char *path, int error, struct fault *fault) {
  if (error == ENOENT) return folder_words(path, "it does not exist", fault);
  char *problem = error_words(error);
  folder_words(path, problem ? problem : "", fault);
  free(problem);
}

int folder_fault(const char *path, struct fault *fault) {
  struct stat found;
  if (stat(path, &found) == 0) {
    if (!S_ISDIR(found.st_mode)) {
      folder_words(path, "it is not a folder", fault);
      return 1;
    }
    if (access(path, X_OK) == 0) return 0;
  }
  folder_error(path, errno, fault);
  return 1;
}

void work_folder_fault(const char *path, int error, struct fault *fault) {
  char *problem = error_words(error);
  char *detail = words("The work folder could not be made: %s, mkdir '%s'", problem ? problem : "", path);
  *fault = (struct fault){.is_rejected = 1, .detail = detail};
  free(problem);
}

void cage_fault(int error, struct fault *fault) {
  char *problem = error_words(error);
  *fault = (struct fault){.is_rejected = 1, .detail = words("The limits could not be set: %s", problem ? problem : "")};
  free(problem);
}

/* What a machine has too little of right now; the same start may succeed later. */
static int is_shortage(int error) {
  return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOSPC;
}

static char *not_found_words(const struct spec *spec, int is_there) {
  const char *program = spec->argv[0];
  if (is_there) {
    return words("The interpreter that the first line of %s names was not found. "
                 "Correct that line, or run the interpreter itself.",
                 program);
  }
  if (strchr(program, '/')) {
    return words("The program %s was not found. Check the path; a relative one starts at cwd.", program);
  }
  const char *path = spec_variable(spec, "PATH");
  return words("The program %s was not found on the PATH %s. Give its full path, or set PATH in env.", program,
               path ? path : "");
}

static int is_file(const char *folder, size_t folder_length, const char *program, const char *base) {
  char *path = folder_length > 0 && folder[0] == '/' ? words("%.*s/%s", (int)folder_length, folder, program)
               : program[0] == '/'                   ? words("%s", program)
                                                     : words("%s/%.*s/%s", base, (int)folder_length, folder, program);
  struct stat found;
  int is = path && stat(path, &found) == 0 && S_ISREG(found.st_mode);
  free(path);
  return is;
}

int program_is_there(const struct spec *spec) {
  const char *program = spec->argv[0];
  if (*program == 0) return 0;
  if (strchr(program, '/')) return is_file("", 0, program, spec_folder(spec));
  const char *path = spec_variable(spec, "PATH");
  for (const char *folder = path ? path : "";; folder++) {
    const char *end = strchrnul(folder, ':');
    if (is_file(folder, (size_t)(end - folder), program, spec_folder(spec))) return 1;
    if (*end == 0) return 0;
    folder = end;
  }
}

void start_fault_words(const struct spec *spec, const struct start_fault *start, struct fault *fault) {
  const char *program = spec->argv[0];
  int error = start->error;
  if (start->is_walls) {
    char *problem = error_words(error);
    *fault = (struct fault){.is_rejected = 1, .detail = words("The walls could not be put up: %s", problem ? problem : "")};
    free(problem);
    return;
  }
  if (is_shortage(error)) {
    char *problem = error_words(error);
    *fault = (struct fault){.is_rejected = 1, .detail = words("No process could be made: %s", problem ? problem : "")};
    free(problem);
    return;
  }
  if (start->is_folder) return folder_error(spec_folder(spec), error, fault);
  if (error == ENOENT) return not_executed(fault, 127, not_found_words(spec, start->is_interpreter));
  if (error == E2BIG) {
    return not_executed(fault, 126,
                        words("The program %s could not be executed: its arguments and variables are too large "
                              "together. Send large input on stdin.",
                              program));
  }
  if (error == EACCES || error == EPERM) {
    return not_executed(fault, 126,
                        words("The program %s was found, but may not be executed. Is it a file with the right to "
                              "execute (chmod +x)?",
                              program));
  }
  char *problem = error_words(error);
  not_executed(fault, 126, words("The program %s could not be executed: %s.", program, problem ? problem : ""));
  free(problem);
}

static const struct {
  int number;
  const char *name;
} signals[] = {
    {SIGHUP, "SIGHUP"},     {SIGINT, "SIGINT"},       {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},   {SIGTRAP, "SIGTRAP"},
    {SIGABRT, "SIGABRT"},   {SIGBUS, "SIGBUS"},       {SIGFPE, "SIGFPE"},   {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"},
    {SIGSEGV, "SIGSEGV"},   {SIGUSR2, "SIGUSR2"},     {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},
    {SIGCHLD, "SIGCHLD"},   {SIGCONT, "SIGCONT"},     {SIGSTOP, "SIGSTOP"}, {SIGTSTP, "SIGTSTP"}, {SIGTTIN, "SIGTTIN"},
    {SIGTTOU, "SIGTTOU"},   {SIGURG, "SIGURG"},       {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}, {SIGVTALRM, "SIGVTALRM"},
    {SIGPROF, "SIGPROF"},   {SIGWINCH, "SIGWINCH"},   {SIGIO, "SIGIO"},     {SIGSYS, "SIGSYS"},
#ifdef SIGSTKFLT
    {SIGSTKFLT, "SIGSTKFLT"},
#endif
#ifdef SIGPWR
    {SIGPWR, "SIGPWR"},
#endif
};
#define SIGNALS (sizeof signals / sizeof *signals)

const char *signal_name(int number, char made[16]) {
  for (size_t n = 0; n < SIGNALS; n++) {
    if (signals[n].number == number) return signals[n].name;
  }
  snprintf(made, 16, "SIG%d", number);
  return made;
}

int signal_number(const char *name, size_t length) {
  for (size_t n = 0; n < SIGNALS; n++) {
    if (strlen(signals[n].name) == length && memcmp(signals[n].name, name, length) == 0) return signals[n].number;
  }
  return 0;
}
