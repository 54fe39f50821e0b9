"""Hand mutants of the reading of job files, of conditions and labels."""

from mutant import Mutant

CONFIG = [
    Mutant(
        "config/job_file",
        "[self._part.follows, *self._needs(",
        "[*self._needs(",
        "a step of a pipeline does not wait for the one before it",
    ),
    Mutant(
        "config/job_file",
        'known - {"task"} if part.in_pipeline else known',
        "known",
        "a step of a pipeline may have a task beside its name",
    ),
    Mutant(
        "config/job_tables",
        "seen[name] > 1",
        "seen[name] > 2",
        "the second step of a type has the first's name",
    ),
    Mutant(
        "config/job_tables",
        "earlier.get(name) if",
        "{**earlier, **here}.get(name) if",
        "two jobs of one name in one file are merged in silence",
    ),
    Mutant(
        "config/template",
        "int(key) < len(value)",
        "int(key) <= len(value)",
        "an element past the end is asked for",
    ),
    Mutant(
        "config/template", "if made is LEFT_OUT:", "if made is None:", "what is left out stands in a list"
    ),
    Mutant(
        "config/template", 'return "true" if value else "false"', "return str(value)", "true is written True"
    ),
    Mutant(
        "config/substitution",
        "variables.items() if name not in overriding}",
        "variables.items()}",
        "[vars] win over --job-set",
    ),
    Mutant("config/substitution", 'return "${"', 'return "$${"', "an escaped ${ keeps both dollars"),
    Mutant(
        "config/arguments",
        "elif name not in self.names and not self.open:",
        "elif name not in self.names:",
        "a function that takes anything refuses it",
    ),
    Mutant(
        "config/arguments",
        "and name not in given and name not in elsewhere",
        "and name not in given",
        "a fixture is missing",
    ),
    Mutant(
        "config/places",
        "in reversed(self.stands)",
        "in self.stands",
        "a key has the place of the file it overrides",
    ),
    Mutant(
        "config/places",
        "around.append((path, count(1)))",
        "around.append((path, count(0)))",
        "elements are counted wrong",
    ),
    Mutant(
        "names",
        "labelled if one is not definition]",
        "labelled]",
        "a job with a label that it needs waits for itself",
    ),
    Mutant(
        "scope",
        "now.flags.get(self.flag, False)",
        "now.flags.get(self.flag, True)",
        "a flag that nobody set is on",
    ),
    Mutant("scope", "(one in names) is excludes", "one in names", "in none of its contexts a job takes part"),
]
