/* Words for a person on what could not be executed: those of shared/providers/local/helper-faults.ts. */
#ifndef ERRAND_FAULTS_H
#define ERRAND_FAULTS_H

#include "spec.h"
#include "start.h"

struct fault {
  int is_rejected; /* surely not executed, and may go better later; otherwise it ended with exit_code */
  int exit_code;   /* as shells do: 127 for a program that is not there, 126 for one that cannot be executed */
  char *detail;    /* malloc */
};

/** Why the folder that it is to work in cannot be: 1 and the fault, or 0. */
int folder_fault(const char *path, struct fault *fault);
void work_folder_fault(const char *path, int error, struct fault *fault);
void cage_fault(int error, struct fault *fault);
/** Whether there is such a file, as a command without walls would see it. */
int program_is_there(const struct spec *spec);
void start_fault_words(const struct spec *spec, const struct start_fault *start, struct fault *fault);

/** "SIGTERM" for 15; other names are made up in `made`. */
const char *signal_name(int number, char made[16]);
/** 0 when there is no such signal. */
int signal_number(const char *name, size_t length);

#endif
