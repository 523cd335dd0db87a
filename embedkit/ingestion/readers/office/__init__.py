"""Readers of the files of offices: PDF, and the packages of Word, PowerPoint and Excel."""
