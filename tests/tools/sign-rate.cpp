// kokuin-sign-rate: how many signatures a second an HSM makes when nothing else is done: CKM_SHA512_RSA_PKCS
// with one key, N threads, one session each, plain PKCS#11 calls. What scripts/bench divides by.
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <sys/resource.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr const char* usage =
    "kokuin-sign-rate --module FILE --token LABEL --key LABEL --pin-file FILE\n"
    "                 [--threads N] [--seconds S] [--octets N]\n"
    "--octets: length of the message (as long as a token's signed attributes by default).\n"
    "Prints one line of JSON: rate (signatures per second) and cpu_us (CPU time of each).\n";

[[noreturn]] void fail(int status, const std::string& text) {
    std::fprintf(stderr, "kokuin-sign-rate: %s\n", text.c_str());
    std::exit(status);
}

void must(CK_RV result, const char* what) {
    if (result != CKR_OK) {
        char code[32];
        std::snprintf(code, sizeof code, "0x%08lx", static_cast<unsigned long>(result));
        fail(3, std::string(what) + " failed: CK_RV " + code);
    }
}

CK_SLOT_ID find_slot(CK_FUNCTION_LIST* p11, const std::string& label) {
    CK_ULONG count = 0;
    must(p11->C_GetSlotList(CK_TRUE, nullptr, &count), "C_GetSlotList");
    std::vector<CK_SLOT_ID> slots(count);
    must(p11->C_GetSlotList(CK_TRUE, slots.data(), &count), "C_GetSlotList");
    for (const CK_SLOT_ID slot : slots) {
        CK_TOKEN_INFO info{};
        if (p11->C_GetTokenInfo(slot, &info) != CKR_OK) continue;
        std::string text(reinterpret_cast<const char*>(info.label), sizeof info.label);
        text.erase(text.find_last_not_of(' ') + 1);
        if (text == label) return slot;
    }
    fail(3, "no token '" + label + "' in the module");
}

CK_OBJECT_HANDLE find_key(CK_FUNCTION_LIST* p11, CK_SESSION_HANDLE session, std::string label) {
    CK_OBJECT_CLASS type = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &type, sizeof type}, {CKA_LABEL, label.data(), label.size()}};
    CK_OBJECT_HANDLE key = 0;
    CK_ULONG found = 0;
    must(p11->C_FindObjectsInit(session, wanted, 2), "C_FindObjectsInit");
    must(p11->C_FindObjects(session, &key, 1, &found), "C_FindObjects");
    must(p11->C_FindObjectsFinal(session), "C_FindObjectsFinal");
    if (found != 1) fail(3, "no private key '" + label + "' in the token");
    return key;
}

}  // namespace

int main(int argc, char** argv) {
    std::map<std::string, std::string> options{{"--threads", "2"}, {"--seconds", "3"}, {"--octets", "300"}};
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--help" || name == "-h") {
            std::fputs(usage, stdout);
            return 0;
        }
        if (i + 1 >= argc || name.rfind("--", 0) != 0)
            fail(2, "'" + name + "' is unknown or wants a value; see --help");
        options[name] = argv[++i];
    }
    for (const char* name : {"--module", "--token", "--key", "--pin-file"})
        if (options[name].empty()) fail(2, std::string(name) + " is missing; see --help");
    const int threads = std::max(1, std::atoi(options["--threads"].c_str()));
    const double seconds = std::atof(options["--seconds"].c_str());
    const auto octets = static_cast<std::size_t>(std::max(1, std::atoi(options["--octets"].c_str())));
    std::string pin;
    std::getline(std::ifstream(options["--pin-file"]), pin);
    if (pin.empty()) fail(3, options["--pin-file"] + ": no PIN in it");

    void* module = dlopen(options["--module"].c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) fail(3, dlerror());
    const auto get = reinterpret_cast<CK_C_GetFunctionList>(dlsym(module, "C_GetFunctionList"));
    CK_FUNCTION_LIST* p11 = nullptr;
    if (get == nullptr || get(&p11) != CKR_OK) fail(3, options["--module"] + " is no PKCS#11 module");
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;  // without it SoftHSM crashes with two threads
    must(p11->C_Initialize(&arguments), "C_Initialize");
    const CK_SLOT_ID slot = find_slot(p11, options["--token"]);
    std::vector<CK_SESSION_HANDLE> sessions(static_cast<std::size_t>(threads));
    for (auto& session : sessions)
        must(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session), "C_OpenSession");
    must(p11->C_Login(sessions[0], CKU_USER, reinterpret_cast<unsigned char*>(pin.data()), pin.size()),
         "C_Login");
    const CK_OBJECT_HANDLE key = find_key(p11, sessions[0], options["--key"]);

    std::atomic<bool> end{false};
    std::atomic<unsigned long> total{0};
    std::vector<std::thread> workers;
    rusage before{};
    getrusage(RUSAGE_SELF, &before);
    const auto begin = std::chrono::steady_clock::now();
    for (const CK_SESSION_HANDLE session : sessions)
        workers.emplace_back([&, session] {
            std::vector<unsigned char> message(octets, 0x5a);
            unsigned char signature[1024];
            CK_MECHANISM mechanism{CKM_SHA512_RSA_PKCS, nullptr, 0};
            unsigned long made = 0;
            while (!end.load(std::memory_order_relaxed)) {
                std::memcpy(message.data(), &made, std::min(sizeof made, message.size()));
                CK_ULONG size = sizeof signature;
                must(p11->C_SignInit(session, &mechanism, key), "C_SignInit");
                must(p11->C_Sign(session, message.data(), message.size(), signature, &size), "C_Sign");
                ++made;
            }
            total += made;
        });
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    end = true;
    for (auto& worker : workers) worker.join();
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    rusage after{};
    getrusage(RUSAGE_SELF, &after);
    const auto cpu = [](const rusage& u) {
        return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    };
    p11->C_Finalize(nullptr);
    const auto made = static_cast<double>(total.load());
    std::printf(
        "{\"threads\": %d, \"signatures\": %lu, \"seconds\": %.3f, \"rate\": %.1f, \"cpu_us\": %.1f}\n",
        threads, total.load(), took, made / took, made > 0 ? (cpu(after) - cpu(before)) * 1e6 / made : 0);
    return 0;
}
