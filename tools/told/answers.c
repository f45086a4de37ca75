/* Answers `cpuid` and `xgetbv` as another make of CPU would.

   Both have been replaced, in copies of libraries, by an instruction that no processor has; so they
   come here as a signal. The answers are in the file that TOLD_CPU names: a line for each leaf and
   subleaf with what it answers in eax, ebx, ecx and edx, in hexadecimal, and `xcr0` with its two
   halves.
*/
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

struct answer {
  uint32_t leaf, sub, a, b, c, d;
};

static struct answer answers[64];
static int count;
static uint32_t xcr0;

static struct answer of(uint32_t leaf, uint32_t sub) {
  for (int i = 0; i < count; i++) {
    const struct answer *it = &answers[i];
    /* Only these leaves look at ecx. */
    const int has_subs = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0x8000001d;
    if (it->leaf == leaf && (it->sub == sub || !has_subs)) return *it;
  }
  return (struct answer){0};
}

static void answer_for(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const uint8_t *at = (const uint8_t *)registers[REG_RIP];
  if (at[0] == 0x0f && at[1] == 0x0a) { /* was xgetbv */
    registers[REG_RAX] = xcr0;
    registers[REG_RDX] = 0;
    registers[REG_RIP] += 3;
  } else if (at[0] == 0x0f && at[1] == 0x04) { /* was cpuid */
    const struct answer found =
        of((uint32_t)registers[REG_RAX], (uint32_t)registers[REG_RCX]);
    registers[REG_RAX] = found.a;
    registers[REG_RBX] = found.b;
    registers[REG_RCX] = found.c;
    registers[REG_RDX] = found.d;
    registers[REG_RIP] += 2;
  } else { /* a true fault: let it happen */
    signal(SIGILL, SIG_DFL);
  }
}

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("TOLD_CPU");
  FILE *file = name ? fopen(name, "r") : NULL;
  if (!file) return;
  struct answer next;
  char line[128];
  while (fgets(line, sizeof line, file)) {
    if (sscanf(line, "xcr0 %x", &xcr0) == 1) continue;
    if (count < 64 && sscanf(line, "%x %x %x %x %x %x", &next.leaf, &next.sub, &next.a, &next.b,
                             &next.c, &next.d) == 6)
      answers[count++] = next;
  }
  fclose(file);
  struct sigaction action = {0};
  action.sa_sigaction = answer_for;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGILL, &action, NULL);
}
