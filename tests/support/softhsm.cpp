#include "tests/support/softhsm.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "tests/support/run.h"

namespace kokuin::testing {

std::string SoftHsm::module() {
    return first_of({"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"});
}

SoftHsm::SoftHsm(const std::string& label) : Hsm(label) {
    std::filesystem::create_directory(folder() + "/tokens");
    std::ofstream(folder() + "/softhsm2.conf") << "directories.tokendir = " << folder() << "/tokens\n"
                                               << "objectstore.backend = file\nlog.level = ERROR\n";
    setenv("SOFTHSM2_CONF", (folder() + "/softhsm2.conf").c_str(), 1);
    SoftHsm::add_token(label);
#if defined(__SANITIZE_THREAD__)
    // The thread sanitizer ends the process when a library that is named in its suppressions is unloaded.
    dlopen(module().c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
#endif
}

void SoftHsm::add_token(const std::string& label) {
    const Ran ran =
        run({"softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", so_pin});
    if (ran.status != 0) throw std::runtime_error("softhsm2-util: " + ran.output);
}

}  // namespace kokuin::testing
