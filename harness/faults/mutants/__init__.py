"""The mutants: backends whose verdict is known beforehand, by which the suite's own score is measured."""

from .catalogue import right as right
from .catalogue import wrong as wrong
from .mutant import Mutant as Mutant
