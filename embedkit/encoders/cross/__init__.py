"""Items scored again, each together with a question, by what is stored of them."""
