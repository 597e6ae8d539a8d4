"""scripts/check-includes finds every kind of forbidden include, and nothing else."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECK = os.path.join(ROOT, "scripts", "check-includes")


class CheckIncludes(unittest.TestCase):
    def check(self, files):
        """Runs the check over a tree of path -> text; gives exit code and output."""
        with tempfile.TemporaryDirectory() as tree:
            for path, text in files.items():
                full = os.path.join(tree, "src", path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            result = subprocess.run([sys.executable, CHECK, tree], text=True, check=False,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return result.returncode, result.stdout

    def including(self, path, included, spelling='#include "%s"\n'):
        files = {included: "", path: "\n" + spelling % included}
        return self.check(files)

    def assert_allowed(self, path, included):
        self.assertEqual(self.including(path, included), (0, ""))

    def assert_forbidden(self, path, included):
        code, output = self.including(path, included)
        self.assertEqual(code, 1, output)
        self.assertIn(f'src/{path}:2: #include "{included}": ', output)
        self.assertEqual(output.count("\n"), 1)

    def test_a_folder_may_include_its_own_files_and_those_below_it(self):
        for path, included in [
                ("os/posix.c", "base/slice.h"), ("os/posix.c", "os/file.h"),
                ("model/matcher.c", "cxx/regex.h"), ("config/load.c", "os/file.h"),
                ("http/server.c", "http/private.h"), ("storage/merge.c", "storage/private.h"),
                ("storage/engine/wal.c", "storage/storage.h"), ("storage/cold/s3.c", "http/http.h"),
                ("buffer/buffer.c", "storage/storage.h"), ("query/query.c", "query/plan/plan.h"),
                ("query/format/csv.c", "query/execute/execute.h"),
                ("api/routes.c", "query/query.h"), ("api/routes.c", "config/config.h"),
                ("commands/serve.c", "storage/engine/engine.h"),
                ("main.c", "commands/commands.h"), ("main.c", "base/log.h")]:
            with self.subTest(path=path, included=included):
                self.assert_allowed(path, included)

    def test_a_folder_may_not_include_what_stands_above_or_beside_it(self):
        for path, included in [
                ("base/log.c", "os/clock.h"), ("os/posix.c", "model/labels.h"),
                ("cxx/number.cc", "model/labels.h"), ("model/labels.c", "os/file.h"),
                ("config/load.c", "http/http.h"), ("http/server.c", "protocols/protocols.h"),
                ("protocols/json.c", "admission/admission.h"),
                ("admission/limits.c", "storage/storage.h"),
                ("storage/merge.c", "storage/engine/engine.h"),
                ("storage/engine/wal.c", "storage/cold/cold.h"),
                ("storage/engine/wal.c", "http/http.h"), ("telemetry/self.c", "http/http.h"),
                ("buffer/buffer.c", "storage/engine/engine.h"),
                ("query/execute/sum.c", "query/parse/parse.h"),
                ("query/parse/rest.c", "query/plan/plan.h"),
                ("api/routes.c", "storage/engine/engine.h"), ("api/routes.c", "commands/commands.h"),
                ("main.c", "api/api.h")]:
            with self.subTest(path=path, included=included):
                self.assert_forbidden(path, included)

    def test_a_private_header_stays_in_its_folder(self):
        for path, included in [
                ("api/routes.c", "http/connection.h"), ("commands/inspect.c", "storage/engine/wal.h"),
                ("storage/engine/wal.c", "storage/merge.h"), ("main.c", "commands/serve.h"),
                ("query/plan/plan.c", "query/parse/tokens.h")]:
            with self.subTest(path=path, included=included):
                self.assert_forbidden(path, included)

    def test_spacing_and_angle_brackets_hide_nothing(self):
        for spelling in ['#include <%s>\n', '  #  include   "%s" /* x */\n', '#include\\\n"%s"\n']:
            with self.subTest(spelling=spelling):
                code, output = self.including("base/log.c", "os/clock.h", spelling)
                self.assertEqual(code, 1)
                self.assertIn("base may include only its own files", output)

    def test_an_include_that_is_no_path_from_src_is_named(self):
        code, output = self.check({"http/server.c": '#include "private.h"\n', "http/private.h": ""})
        self.assertEqual(code, 1)
        self.assertIn("path from src/", output)

    def test_an_include_by_macro_is_named(self):
        code, output = self.check({"http/server.c": "#include HEADER\n"})
        self.assertEqual(code, 1)
        self.assertIn("not a macro", output)

    def test_a_folder_without_a_rule_is_named(self):
        code, output = self.check({"helpers/misc.c": ""})
        self.assertEqual(code, 1)
        self.assertIn("src/helpers/misc.c", output)

    def test_system_headers_are_free(self):
        self.assertEqual(self.check({"base/log.c": "#include <stdio.h>\n"}), (0, ""))

    def test_the_message_names_file_line_include_and_rule(self):
        _, output = self.including("os/posix.c", "model/labels.h")
        self.assertEqual(output, 'src/os/posix.c:2: #include "model/labels.h": '
                                 'os may include only its own files and: base\n')


if __name__ == "__main__":
    unittest.main()
