// Preloaded into chronyd beside libfaketime: the kernel's receive time stamps, which know nothing of the
// faked clock, can't be had, so chronyd reads the (faked) clock itself. Without it a chronyd under
// libfaketime is off by half of what is faked.
#include <dlfcn.h>
#include <sys/socket.h>

#include <cerrno>

extern "C" int setsockopt(int descriptor, int level, int option, const void* value, socklen_t length) {
    if (level == SOL_SOCKET &&
        (option == SO_TIMESTAMP || option == SO_TIMESTAMPNS || option == SO_TIMESTAMPING)) {
        errno = ENOPROTOOPT;
        return -1;
    }
    using Real = int (*)(int, int, int, const void*, socklen_t);
    static const auto real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "setsockopt"));
    return real(descriptor, level, option, value, length);
}
