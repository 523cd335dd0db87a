"""The classes that users load: encoders of one process or several, rerankers, classifiers, scorers."""
