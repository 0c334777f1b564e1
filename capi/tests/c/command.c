/* Stands in for the command `shmflow` where only its installation is tested: shmflow --version | man FOLDER | completions SHELL. */
#include <stdio.h>
#include <string.h>

static int page(const char *folder, const char *name) {
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = length > 0 && (size_t)length < sizeof path ? fopen(path, "w") : NULL;
    if (!file) return 1;
    fprintf(file, ".TH %s\n", name);
    return fclose(file) != 0;
}

int main(int count, char **words) {
    if (count == 2 && strcmp(words[1], "--version") == 0) return puts("shmflow") < 0;
    if (count == 3 && strcmp(words[1], "man") == 0) return page(words[2], "shmflow.1") || page(words[2], "shmflow-ls.1");
    if (count == 3 && strcmp(words[1], "completions") == 0) return printf("for %s\n", words[2]) < 0;
    return 2;
}
