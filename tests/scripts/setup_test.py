"""scripts/setup, with stand-ins for dpkg-query, apt-cache, apt-get, systemctl and id."""

import os
import subprocess
import tempfile
import textwrap
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETUP = os.path.join(ROOT, "scripts", "setup")

PACKAGES = """
# comment
build gcc libc6-dev
test  clang-16 libclang-rt-16-dev | clang-18 libclang-rt-18-dev
test? clang-format-16
test  prometheus
"""

# Each keeps to files in $STATE: installed, offered (a name a line), log (what was called).
STAND_INS = {
    "dpkg-query": 'grep -qx -- "${*: -1}" "$STATE/installed" && printf installed',
    "apt-cache": """
        for word; do
            ! grep -qx -- "$word" "$STATE/offered" || printf 'Package: %s\\nVersion: 1\\n' "$word"
        done
        exit 100 # as for names that it does not know""",
    "apt-get": """
        echo "apt-get $*" >>"$STATE/log"
        case " $* " in
        *' install '*)
            if [ -e "$METRIC_STORE_POLICY" ]; then
                echo "policy $("$METRIC_STORE_POLICY"; echo $?)" >>"$STATE/log"
            fi
            [ ! -e "$STATE/apt-fails" ] || exit 100
            if [ -e "$STATE/apt-is-interrupted" ]; then kill -TERM "$PPID"; sleep 0.1; exit 0; fi
            for word; do echo "$word" >>"$STATE/installed"; done
            ;;
        esac""",
    "systemctl": 'echo "systemctl $*" >>"$STATE/log"',
    "id": "echo 0",
}


class Setup(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.policy = self.path("policy-rc.d")
        self.write("installed", "")
        self.write("offered", "gcc\nlibc6-dev\nclang-16\nlibclang-rt-16-dev\nclang-18\n"
                              "libclang-rt-18-dev\nclang-format-16\nprometheus\n")
        self.write("log", "")
        self.write("packages", PACKAGES)
        self.write("os-release", 'ID=debian\nVERSION_ID="12"\n')
        os.mkdir(self.path("bin"))
        for name, body in STAND_INS.items():
            self.write(f"bin/{name}", "#!/usr/bin/env bash\n" + textwrap.dedent(body) + "\n")
            os.chmod(self.path(f"bin/{name}"), 0o755)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def run_setup(self, *groups):
        environment = {**os.environ, "PATH": self.path("bin") + ":" + os.environ["PATH"],
                       "STATE": self.folder.name, "METRIC_STORE_PACKAGES": self.path("packages"),
                       "METRIC_STORE_OS_RELEASE": self.path("os-release"),
                       "METRIC_STORE_POLICY": self.policy}
        result = subprocess.run([SETUP, *groups], env=environment, text=True, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return result.returncode, result.stdout

    def installs(self):
        return [line.split("--no-install-recommends ")[1].split()
                for line in self.read("log").splitlines() if " install " in line]

    def test_only_the_wanted_groups_are_installed(self):
        code, output = self.run_setup("build")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.installs(), [["gcc", "libc6-dev"]])
        self.assertIn("setup: installing: gcc libc6-dev", output)

    def test_it_is_silent_and_calls_nothing_when_nothing_is_missing(self):
        self.write("installed", self.read("offered"))
        self.assertEqual(self.run_setup("build", "test"), (0, ""))
        self.assertEqual(self.read("log"), "")

    def test_the_first_alternative_that_is_offered_is_taken(self):
        self.write("offered", self.read("offered").replace("libclang-rt-16-dev\n", ""))
        code, output = self.run_setup("build", "test")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.installs(), [["gcc", "libc6-dev", "clang-18", "libclang-rt-18-dev",
                                            "clang-format-16", "prometheus"]])

    def test_an_alternative_that_is_installed_is_enough(self):
        self.write("installed", "gcc\nlibc6-dev\nclang-18\nlibclang-rt-18-dev\nprometheus\n"
                                "clang-format-16\n")
        self.assertEqual(self.run_setup("build", "test"), (0, ""))

    def test_an_optional_package_that_nobody_offers_is_left_out(self):
        self.write("offered", self.read("offered").replace("clang-format-16\n", ""))
        self.assertEqual(self.run_setup("build", "test")[0], 0)
        self.write("log", "")
        self.assertEqual(self.run_setup("build", "test"), (0, ""))
        self.assertEqual(self.read("log"), "")

    def test_a_package_that_nobody_offers_is_named(self):
        self.write("offered", "gcc\nlibc6-dev\n")
        code, output = self.run_setup("build", "test")
        self.assertEqual(code, 1)
        self.assertIn("offers: clang-16 libclang-rt-16-dev | clang-18", output)

    def test_services_are_held_back_and_no_policy_stays_behind(self):
        self.assertEqual(self.run_setup("test")[0], 0)
        self.assertIn("policy 101", self.read("log"))
        self.assertIn("systemctl disable --now prometheus\n", self.read("log"))
        self.assertFalse(os.path.exists(self.policy))

    def test_no_policy_stays_behind_when_apt_get_fails(self):
        self.write("apt-fails", "")
        code, output = self.run_setup("test")
        self.assertEqual(code, 1)
        self.assertIn("could not install", output)
        self.assertIn("policy 101", self.read("log"))
        self.assertFalse(os.path.exists(self.policy))

    def test_no_policy_stays_behind_when_it_is_interrupted(self):
        self.write("apt-is-interrupted", "")
        self.assertEqual(self.run_setup("test")[0], 143)
        self.assertFalse(os.path.exists(self.policy))

    def test_a_policy_of_someone_elses_is_left_alone(self):
        self.write("policy-rc.d", "#!/bin/sh\nexit 0\n")
        os.chmod(self.policy, 0o755)
        self.assertEqual(self.run_setup("test")[0], 0)
        self.assertEqual(self.read("policy-rc.d"), "#!/bin/sh\nexit 0\n")

    def test_a_policy_left_by_a_killed_run_is_removed(self):
        self.write("policy-rc.d", "#!/bin/sh\n# metric-store scripts/setup: services stay off while "
                                  "packages are installed\nexit 101\n")
        self.assertEqual(self.run_setup("build")[0], 0)
        self.assertFalse(os.path.exists(self.policy))

    def test_another_system_is_told_what_it_needs(self):
        self.write("os-release", "ID=fedora\nVERSION_ID=41\n")
        code, output = self.run_setup("build")
        self.assertEqual(code, 1)
        self.assertIn("Debian 12, Debian 13 and Ubuntu 24.04", output)
        self.assertIn("gcc libc6-dev", output)
        self.assertEqual(self.read("log"), "")

    def test_an_unknown_group_is_wrong_usage(self):
        self.assertEqual(self.run_setup("everything")[0], 2)
        self.assertEqual(self.run_setup()[0], 2)

    def test_every_line_of_the_projects_own_list_is_understood(self):
        with open(os.path.join(ROOT, "scripts", "packages"), encoding="utf-8") as file:
            lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
        for line in lines:
            self.assertIn(line[0].rstrip("?"), ("build", "test", "lint"))
            self.assertGreater(len(line), 1)


if __name__ == "__main__":
    unittest.main()
