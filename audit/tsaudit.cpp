#include <iostream>
#include <string>
#include <vector>

#include "audit/command_line.h"

int main(int count, char** arguments) {
    if (count < 1) return 2;
    return kokuin::audit::run(std::vector<std::string>(arguments + 1, arguments + count), std::cout,
                              std::cerr);
}
