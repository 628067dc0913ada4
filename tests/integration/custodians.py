"""A demo whose PINs are with three custodians who have to come."""
import json
import re

import harness
from harness import BIN, activate, run


class CustodyCase(harness.TestCase):
    def setUp(self):
        """Nothing opens the shares by itself."""
        super().setUp()
        for name in ('tsad', 'taad'):
            text = (self.demo.dir / f'{name}.toml').read_text()
            (self.demo.dir / f'{name}.toml').write_text(re.sub(r'(?m)^unattended = .*\n(?:[ ]+#.*\n)*', '', text))

    def tearDown(self):
        for program in (self.demo.tsad, self.demo.taad):
            if program and program.alive():
                # A keeper's server outlives it if that is killed.
                program.stop() if '--keep' in program.command else program.kill()

    def passphrase(self, name, folder='custody'):
        return (self.demo.dir / folder / f'{name}.passphrase').read_text().strip()

    def tsactl(self):
        return [BIN / 'tsactl', '--config', self.demo.dir / 'tsad.toml']

    def taad(self):
        return [BIN / 'taad', '--config', self.demo.dir / 'taad.toml']

    def give(self, name, tool=None, folder='custody', share=None, passphrase=None):
        """A custodian gives a share at a terminal: (exit status, what was said)."""
        return activate(tool or self.tsactl(), share or self.demo.dir / folder / f'{name}.share',
                        passphrase or self.passphrase(name, folder))

    def give_all(self):
        for name in ('demo-1', 'demo-3'):
            for tool, folder in ((self.tsactl(), 'custody'), (self.taad(), 'taa-custody')):
                status, said = self.give(name, tool, folder)
                self.assertEqual(status, 0, said)

    def start_locked(self, **how):
        self.demo.start_tsad(**how)
        self.demo.start_taad()

    def custody(self):
        return json.loads(self.demo.tsactl('status', '--json', ok=(0, 1)).out)['custody']

    def secrets(self, folder):
        """Every share, raw and in hexadecimal, and both PINs of a ceremony."""
        lines = run(BIN / 'kokuin-share', *(self.demo.dir / folder / f'demo-{i}' for i in (1, 2, 3))).out.split()
        self.assertEqual(len(lines), 8)
        for pin in lines[6:]:
            self.assertRegex(pin, r'^[a-z2-7]{26}$')
        # A share begins with what the shares of one secret have in common; what is secret comes after it.
        shares = [bytes.fromhex(line)[20:] for line in lines[:6]]
        return [*shares, *(share.hex().encode() for share in shares), *(pin.encode() for pin in lines[6:])]
