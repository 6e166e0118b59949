# Types of those parts of django-unfold that the admin uses; it brings none of its own.
