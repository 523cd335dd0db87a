"""Folders of other libraries, of earlier versions, and with code of their own."""
