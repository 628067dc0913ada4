#include "base/terminal.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/descriptor.h"
#include "base/text.h"

namespace kokuin {
namespace {

constexpr std::size_t longest = 1024;
constexpr std::uint8_t interrupt = 0x03;
constexpr std::uint8_t end_of_file = 0x04;
constexpr std::uint8_t backspace = 0x08;
constexpr std::uint8_t erase_line = 0x15;
constexpr std::uint8_t rubout = 0x7f;

/// No echo, and every key reaches us: a signal would leave the terminal silent.
class Silence {
  public:
    explicit Silence(int terminal) : terminal_(terminal) {
        if (::tcgetattr(terminal_, &before_) != 0) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG);
        silent.c_cc[VMIN] = 1;
        silent.c_cc[VTIME] = 0;
        on_ = ::tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
    }
    ~Silence() {
        if (on_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;
    [[nodiscard]] bool on() const { return on_; }

  private:
    int terminal_;
    termios before_{};
    bool on_ = false;
};

void show(int terminal, std::string_view text) {
    while (!text.empty()) {
        const auto wrote = ::write(terminal, text.data(), text.size());
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(wrote));
    }
}

/// The line as it is typed; wiped when it goes.
struct Line {
    std::array<std::uint8_t, longest> octets{};
    std::size_t size = 0;
    bool too_long = false;
    ~Line() { ::explicit_bzero(octets.data(), octets.size()); }

    void take(std::uint8_t octet) {
        if (size == octets.size())
            too_long = true;
        else
            octets[size++] = octet;
    }
    /// A whole character of UTF-8.
    void drop_last() {
        while (size > 0 && (octets[size - 1] & 0xc0U) == 0x80U) --size;
        if (size > 0) --size;
    }
};

}  // namespace

Result<Secret> ask_secret(const std::string& prompt) {
    const Descriptor terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal)
        return Error::usage("there is no terminal to type a passphrase at (" +
                            std::string(std::strerror(errno)) + ")");
    const Silence silence(terminal.get());
    if (!silence.on()) return Error::usage("this terminal can't hide what is typed; use another one");
    show(terminal.get(), one_line(prompt, any_length) + " ");
    Line line;
    while (true) {
        std::uint8_t octet = 0;
        const auto got = ::read(terminal.get(), &octet, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || octet == interrupt || octet == end_of_file) {
            show(terminal.get(), "\n");
            return Error::usage("nothing was typed; given up");
        }
        if (octet == '\n' || octet == '\r') break;
        if (octet == backspace || octet == rubout)
            line.drop_last();
        else if (octet == erase_line)
            line.size = 0;
        else
            line.take(octet);
    }
    show(terminal.get(), "\n");
    if (line.too_long)
        return Error::usage("too long: a passphrase has at most " + std::to_string(longest) + " octets");
    if (line.size == 0) return Error::usage("nothing was typed; given up");
    return Secret(View(line.octets).first(line.size));
}

}  // namespace kokuin
