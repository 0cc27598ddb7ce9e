"""Which machines does a model need, and how exactly is it split over them?"""

__version__ = "0.1.0"
